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

// What WebTorrent adds to the library: the longest request that it answers, and how long, in
// milliseconds, it waits for a handshake. A request that no piece has room for is an error, and
// keep-alives are said.
const LONGEST_REQUEST = 128 * 1024
const HANDSHAKE_TIMEOUT = 25_000

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

// Either end of the one is the end of the other, and of a peer that does not say who it is.
function tie (socket, wire) {
  const waiting = setTimeout(() => socket.destroy(), HANDSHAKE_TIMEOUT)
  wire.once('handshake', () => clearTimeout(waiting))
  for (const event of ['end', 'finish', 'close', 'error']) {
    wire.once(event, () => socket.destroy())
    socket.once(event, () => {
      clearTimeout(waiting)
      wire.destroy()
    })
  }
}

function isThere (index, begin, length) {
  return index >= 0 && index < numPieces && begin >= 0 && length > 0 && begin + length <= lengthOf(index)
}

function seed () {
  const content = readFileSync(path)
  const everything = Buffer.alloc(Math.ceil(numPieces / 8))
  for (let i = 0; i < numPieces; i++) everything[i >> 3] |= 0x80 >> (i & 7)

  createServer(socket => {
    const wire = attach(socket, 'tcpIncoming')
    tie(socket, wire)
    const obfuscated = sha1('req2', Buffer.from(infoHash, 'hex'))
    wire.once('crypto-infohash', hash => hash === obfuscated ? wire.setInfoHash(infoHash) : socket.destroy())
    wire.once('handshake', (hash, id) => {
      if (hash !== infoHash || id === peerId) return socket.destroy()
      wire.handshake(infoHash, peerId, { fast: true })
      wire.setKeepAlive(true)
      if (wire.hasFast) wire.haveAll()
      else wire.bitfield(everything)
    })
    wire.on('interested', () => wire.unchoke())
    wire.on('request', (index, begin, length, respond) => {
      if (length > LONGEST_REQUEST) return wire.destroy()
      if (!isThere(index, begin, length)) return respond(new Error('no piece has room for it'))
      const start = index * pieceSize + begin
      respond(null, content.subarray(start, start + length))
    })
  }).listen(port, HOST, () => console.log('ready'))
}

// What the library leaves to its application is done as webtorrent does it: interest follows what
// the other has, only that is asked for, a piece with a wrong hash is asked for again.
function leech () {
  const content = Buffer.alloc(size)
  const missing = new Map() // piece -> its blocks that are to be asked for, and how many are to come
  for (let index = 0; index < numPieces; index++) expect(index)

  const socket = connect(port, HOST)
  const wire = attach(socket, 'tcpOutgoing')
  const greet = () => wire.handshake(infoHash, peerId, { fast: true })
  if (encryption === 'off') greet()
  else {
    wire.once('crypto-handshake', greet)
    wire.startEncryption(infoHash)
  }
  wire.once('handshake', hash => {
    if (hash !== infoHash) return socket.destroy()
    if (wire.hasFast) wire.haveNone()
  })
  for (const event of ['bitfield', 'have', 'have-all', 'unchoke']) wire.on(event, look)
  socket.on('close', () => {
    console.log(numPieces - missing.size, 'of', numPieces, 'pieces')
    process.exit(missing.size ? 1 : 0)
  })

  function expect (index) {
    const blocks = []
    for (let begin = 0; begin < lengthOf(index); begin += BLOCK) {
      blocks.push([begin, Math.min(BLOCK, lengthOf(index) - begin)])
    }
    missing.set(index, { unasked: blocks, coming: blocks.length })
  }

  function look () {
    const wanted = [...missing.keys()].filter(index => wire.peerPieces.get(index))
    if (wanted.length) wire.interested()
    else wire.uninterested()
    for (const index of wanted) ask(index)
  }

  function ask (index) {
    const { unasked } = missing.get(index)
    const pipeline = Math.min(PIPELINE, wire.peerExtendedHandshake.reqq || PIPELINE)
    while (!wire.peerChoking && wire.requests.length < pipeline && unasked.length) {
      const [begin, length] = unasked.shift()
      wire.request(index, begin, length, (error, block) => {
        if (error) return unasked.push([begin, length])
        store(index, begin, block)
        look()
      })
    }
  }

  function store (index, begin, block) {
    content.set(block, index * pieceSize + begin)
    if (--missing.get(index).coming) return
    const start = index * pieceSize
    const expected = Buffer.from(info.pieces).subarray(20 * index, 20 * index + 20).toString('hex')
    if (sha1(content.subarray(start, start + lengthOf(index))) !== expected) {
      console.log('piece', index, 'does not match its hash')
      return expect(index)
    }
    missing.delete(index)
    wire.have(index)
    if (missing.size) return
    mkdirSync(path, { recursive: true })
    writeFileSync(join(path, Buffer.from(info.name).toString()), content)
    socket.end()
  }
}

if (role === 'seed') seed()
else leech()
