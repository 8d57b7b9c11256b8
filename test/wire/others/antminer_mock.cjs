/**
 * Runs the mock of a stock Antminer of tetherto/miningos-wrk-miner-antminer, unchanged: CHECKOUT HOST PORT PASSWORD.
 * It has the pages alone, no API on 4028. What it takes from elsewhere (remote control of the mock, two helpers) is
 * nothing on the wire; the checkout holds it, or stand-ins.
 */
'use strict';

const { connect } = require('node:net');

const [, , checkout, host, port, password] = process.argv;
const { createServer } = require(`${checkout}/mock/server.js`);

const mock = createServer({ type: 'S19xp', host, port: Number(port), password });
// Its rates are a thousand times what their unit says, and then nothing can be known of its mode.
for (const name of ['rate_5s', 'rate_30m', 'rate_avg']) mock.state.stats[name] /= 1_000;

/** It listens when its parts are loaded, and does not say when. */
function tellWhenThere() {
  const socket = connect(Number(port), host);
  socket.once('connect', () => {
    socket.destroy();
    process.stdout.write('LISTENING\n');
  });
  socket.once('error', () => setTimeout(tellWhenThere, 50));
}
tellWhenThere();
