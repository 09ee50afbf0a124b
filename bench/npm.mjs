// The programs of npm's bittorrent-protocol that peerwire is measured beside: node npm.mjs NAME OPTIONS.
//
// Options are a JSON object, what is said are lines of JSON, as with `python -m peerwire.cli.measuring`.
// Where there is more than one way to use the package, it is the fastest.

import { createHash, randomBytes } from 'node:crypto'
import { connect, createServer } from 'node:net'
import Wire from 'bittorrent-protocol'

const HOST = '127.0.0.1'
const BLOCK = 16 * 1024
const BLOCKS_A_PIECE = 64
const NUM_PIECES = 1000
const INFO_HASH = Buffer.from(Array.from({ length: 20 }, (_, n) => n)).toString('hex')
const OBFUSCATED = createHash('sha1').update('req2').update(Buffer.from(INFO_HASH, 'hex')).digest('hex')
const POLICY = { off: 0, prefer: 1, require: 2 }

const say = record => process.stdout.write(JSON.stringify(record) + '\n')
const now = () => Number(process.hrtime.bigint()) / 1e9
const cpu = () => { const { user, system } = process.cpuUsage(); return (user + system) / 1e6 }

function attach (socket, type, encryption) {
  const wire = new Wire(type, POLICY[encryption])
  socket.setNoDelay(true)
  socket.on('error', () => {})
  wire.on('error', () => {})
  socket.pipe(wire).pipe(socket)
  return wire
}

const greet = wire => wire.handshake(INFO_HASH, randomBytes(20).toString('hex'), { fast: true })

/** Listens; calls back with each wire once both have said their handshakes. */
function serve (encryption, then) {
  const server = createServer(socket => {
    const wire = attach(socket, 'tcpIncoming', encryption)
    wire.once('crypto-infohash', hash => hash === OBFUSCATED ? wire.setInfoHash(INFO_HASH) : socket.destroy())
    wire.once('handshake', () => { greet(wire); then(wire, socket) })
  })
  server.listen({ port: 0, host: HOST, backlog: 1000 }, () => say({ port: server.address().port }))
}

/** Dials; calls back once both have said their handshakes. */
function dial (port, encryption, then) {
  const socket = connect(port, HOST)
  const wire = attach(socket, 'tcpOutgoing', encryption)
  if (encryption === 'off') greet(wire)
  else {
    wire.once('crypto-handshake', () => greet(wire))
    wire.startEncryption(INFO_HASH)
  }
  wire.once('handshake', () => then(wire, socket))
}

function wireSeed ({ encryption = 'off' }) {
  const block = Buffer.alloc(BLOCK)
  serve(encryption, (wire, socket) => {
    const before = cpu()
    wire.unchoke()
    wire.on('request', (index, begin, length, respond) => respond(null, block))
    socket.on('close', () => { say({ cpu: cpu() - before }); process.exit() })
  })
}

function wireLeech ({ port, total, encryption = 'off', pipeline = 250 }) {
  const count = total / BLOCK
  let asked = 0
  let received = 0
  dial(port, encryption, (wire, socket) => {
    let started, before
    const received1 = error => {
      if (error) throw error
      if (++received === count) {
        say({ bytes: total, seconds: now() - started, cpu: cpu() - before })
        return socket.destroy()
      }
      if (asked < count) ask()
    }
    const ask = () => {
      const index = Math.floor(asked / BLOCKS_A_PIECE)
      wire.request(index % NUM_PIECES, asked % BLOCKS_A_PIECE * BLOCK, BLOCK, received1)
      asked++
    }
    wire.once('unchoke', () => {
      started = now()
      before = cpu()
      while (asked < Math.min(pipeline, count)) ask()
    })
    wire.interested()
  })
}

/**
 * Decodes a flood of one kind of message, with all that a wire does of it, in chunks; three times, the last counts.
 * A wire gets 2,000 requests, as ours does.
 */
async function flood ({ kind, count, chunk }) {
  const share = kind === 'have' ? count : Math.min(count, 2000)
  const sent = []
  const peer = new Wire('tcpOutgoing', 0)
  peer.on('data', data => sent.push(data))
  greet(peer)
  for (let n = 0; n < share; n++) {
    if (kind === 'have') peer.have(n)
    else peer._message(6, [Math.floor(n / BLOCKS_A_PIECE), n % BLOCKS_A_PIECE * BLOCK, BLOCK])
  }
  await new Promise(resolve => setTimeout(resolve, 200)) // streams hand out what they got a turn later
  const data = Buffer.concat(sent)
  const wires = Math.floor(count / share)
  let seconds, used
  for (let round = 0; round < 3; round++) {
    let decoded = 0
    const flooded = Array.from({ length: wires }, () => {
      const wire = new Wire('tcpIncoming', 0)
      wire.on(kind, () => decoded++)
      wire.on('data', () => {})
      wire.once('handshake', () => { greet(wire); wire.unchoke() })
      wire._write(data.subarray(0, 68), () => {})
      return wire
    })
    const started = now()
    const before = cpu()
    while (flooded.length) {
      const wire = flooded.pop()
      for (let at = 68; at < data.length; at += chunk) wire._write(data.subarray(at, at + chunk), () => {})
    }
    seconds = now() - started
    used = cpu() - before
    if (decoded !== share * wires) throw new Error(`${decoded} of ${share * wires} were decoded`)
  }
  say({ messages: share * wires, seconds, cpu: used })
  process.exit()
}

/** Says how much memory each of so many peers takes that have said what peers say first. */
function idleServe ({ count }) {
  let left = count
  let before
  serve('off', wire => {
    wire.once('interested', () => {
      if (--left) return
      setTimeout(() => {
        global.gc()
        say({ bytes: process.memoryUsage.rss() - before, peers: count })
        process.exit()
      }, 200)
    })
  })
  global.gc()
  before = process.memoryUsage.rss()
}

/** Answers handshakes until it is ended. */
function handshakeServe ({ encryption }) {
  serve(encryption, (wire, socket) => socket.on('end', () => socket.destroy()))
}

/** Dials so many times, and leaves after the handshake. */
function handshakeDial ({ port, encryption, count, at_a_time: atATime }) {
  const started = now()
  let dialled = 0
  let left = count
  const next = () => {
    if (dialled++ >= count) return
    dial(port, encryption, (wire, socket) => {
      socket.once('close', next)
      socket.destroy()
      if (--left) return
      say({ handshakes: count, seconds: now() - started })
      process.exit()
    })
  }
  for (let n = 0; n < atATime; n++) next()
}

const PROGRAMS = {
  wire_seed: wireSeed,
  wire_leech: wireLeech,
  flood,
  idle_serve: idleServe,
  handshake_serve: handshakeServe,
  handshake_dial: handshakeDial
}
const [name, options] = process.argv.slice(2)
PROGRAMS[name](JSON.parse(options))
