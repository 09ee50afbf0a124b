// A peer made of npm bittorrent-protocol and nothing else: one v1 torrent of one file, on loopback.
//
// node bp_peer.mjs seed  TORRENT FILE    PORT off|prefer|require    listens; prints "ready"
// node bp_peer.mjs leech TORRENT OUT_DIR PORT off|prefer|require    dials; exits 0 when complete

import { createHash, randomBytes } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import bencode from 'bencode'
import Wire from 'bittorrent-protocol'

const HOST = '127.0.0.1'
const BLOCK = 16 * 1024
const PIPELINE = 64

const [role, torrentPath, path, port, encryption] = process.argv.slice(2)
const { info } = bencode.decode(readFileSync(torrentPath))
const infoHash = sha1(bencode.encode(info))
const peerId = Buffer.concat([Buffer.from('-BP0509-'), randomBytes(12)]).toString('hex')
const size = info.length
const pieceSize = info['piece length']
const numPieces = Math.ceil(size / pieceSize)

function sha1 (...parts) {
  const hash = createHash('sha1')
  for (const part of parts) hash.update(part)
  return hash.digest('hex')
}

const lengthOf = index => Math.min(pieceSize, size - index * pieceSize)

function attach (socket, type) {
  const wire = new Wire(type, { off: 0, prefer: 1, require: 2 }[encryption])
  socket.on('error', error => console.log('socket:', error.message))
  wire.on('error', error => console.log('wire:', error.message))
  for (const event of ['choke', 'unchoke', 'interested', 'bitfield', 'have-all', 'reject', 'unknownmessage']) {
    wire.on(event, () => console.log('received', event))
  }
  wire.once('handshake', (hash, id) => console.log('received handshake of', Buffer.from(id, 'hex').toString('latin1')))
  socket.pipe(wire).pipe(socket)
  return wire
}

function seed () {
  const content = readFileSync(path)
  const everything = Buffer.alloc(Math.ceil(numPieces / 8))
  for (let i = 0; i < numPieces; i++) everything[i >> 3] |= 0x80 >> (i & 7)

  createServer(socket => {
    const wire = attach(socket, 'tcpIncoming')
    const obfuscated = sha1('req2', Buffer.from(infoHash, 'hex'))
    wire.once('crypto-infohash', hash => hash === obfuscated ? wire.setInfoHash(infoHash) : socket.destroy())
    wire.once('handshake', hash => {
      if (hash !== infoHash) return socket.destroy()
      wire.handshake(infoHash, peerId, { fast: true })
      if (wire.hasFast) wire.haveAll()
      else wire.bitfield(everything)
    })
    wire.on('interested', () => wire.unchoke())
    wire.on('request', (index, begin, length, respond) => {
      const start = index * pieceSize + begin
      respond(null, content.subarray(start, start + length))
    })
  }).listen(port, HOST, () => console.log('ready'))
}

function leech () {
  const content = Buffer.alloc(size)
  const queue = []
  const missing = Array.from({ length: numPieces }, (_, index) => Math.ceil(lengthOf(index) / BLOCK))
  for (let index = 0; index < numPieces; index++) {
    for (let begin = 0; begin < lengthOf(index); begin += BLOCK) {
      queue.push([index, begin, Math.min(BLOCK, lengthOf(index) - begin)])
    }
  }
  let complete = 0

  const socket = connect(port, HOST)
  const wire = attach(socket, 'tcpOutgoing')
  const greet = () => wire.handshake(infoHash, peerId, { fast: true })
  if (encryption === 'off') greet()
  else {
    wire.once('crypto-handshake', greet)
    wire.startEncryption(infoHash)
  }
  wire.once('handshake', () => {
    if (wire.hasFast) wire.haveNone()
    wire.interested()
  })
  wire.on('unchoke', ask)
  socket.on('close', () => {
    console.log(complete, 'of', numPieces, 'pieces')
    process.exit(complete === numPieces ? 0 : 1)
  })

  function ask () {
    while (!wire.peerChoking && wire.requests.length < PIPELINE && queue.length) {
      const [index, begin, length] = queue.shift()
      wire.request(index, begin, length, (error, block) => {
        if (error) return queue.push([index, begin, length])
        store(index, begin, block)
        ask()
      })
    }
  }

  function store (index, begin, block) {
    content.set(block, index * pieceSize + begin)
    if (--missing[index]) return
    const start = index * pieceSize
    const expected = Buffer.from(info.pieces).subarray(20 * index, 20 * index + 20).toString('hex')
    if (sha1(content.subarray(start, start + lengthOf(index))) !== expected) {
      console.log('piece', index, 'does not match its hash')
      return process.exit(1)
    }
    wire.have(index)
    if (++complete < numPieces) return
    mkdirSync(path, { recursive: true })
    writeFileSync(join(path, Buffer.from(info.name).toString()), content)
    socket.end()
  }
}

if (role === 'seed') seed()
else leech()
