import { fork } from 'node:child_process';
import * as net from 'node:net';
import ModbusRTU from 'modbus-serial';
import { antminer } from '../../agent/drivers/antminer.ts';
import { loadModel } from '../../config/models.ts';
import { realEffects } from '../../host/real.ts';
import { silentLog } from '../../host/log.ts';
import { seededRandom } from '../../host/random.ts';
import { SimulatedAntminer } from '../../simulator/devices/antminer.ts';
import { cpuUs, figure } from './measure.ts';
import type { Figure } from './measure.ts';

const HOST = '127.0.0.1';
const POLLS = 400;
const READS = 1_000;
const REGISTERS = 100;

/** A free port of the loopback. */
export async function freePort(): Promise<number> {
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(0, HOST, resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === 'object' && address !== null ? address.port : 0;
}

/** What polling costs this process, over real sockets, beside the plainest program that does the same. */
export async function deviceFigures(): Promise<Figure[]> {
  const minerPort = await freePort();
  const modbusPort = await freePort();
  const peer = fork(new URL('devices-peer.ts', import.meta.url), [String(minerPort), String(modbusPort)]);
  try {
    await new Promise<void>((resolve, reject) => {
      peer.once('message', () => resolve());
      peer.once('exit', (code) => reject(new Error(`the peer ended with ${code}`)));
    });
    return [await pollFigure(minerPort), await modbusFigure(modbusPort), await simulatedFigure()];
  } finally {
    peer.kill();
  }
}

/** Four at once, as a poller has many under way. */
async function repeated(count: number, once: () => Promise<unknown>): Promise<void> {
  const lane = async (): Promise<void> => {
    for (let done = 0; done < count / 4; done += 1) await once();
  };
  await Promise.all([lane(), lane(), lane(), lane()]);
}

/** What a simulated miner takes of the machine that plays a site of thousands. */
async function simulatedFigure(): Promise<Figure> {
  const model = loadModel('antminer-s21');
  if (model.kind !== 'asic') throw new Error('the model is no ASIC');
  const miner = new SimulatedAntminer({
    id: 'a',
    model,
    random: seededRandom(1),
    startMs: 0,
    password: 'pw',
  });
  const request = new TextEncoder().encode(JSON.stringify({ command: 'stats' }));
  let polls = 0;
  const us = await cpuUs({
    operations: READS,
    run: () => {
      for (let done = 0; done < READS; done += 1) miner.respond(request, (polls += 1) * 5_000);
    },
  });
  return figure('simulated miner, one poll', 'us', us, { goal: 10 });
}

async function pollFigure(port: number): Promise<Figure> {
  const target = {
    url: `antminer://${HOST}?api=${port}`,
    scheme: 'antminer',
    host: HOST,
    port: undefined,
    user: undefined,
    password: undefined,
    path: '',
    options: { api: String(port) },
  };
  const device = antminer.open(target, { ...realEffects(), log: silentLog });
  const driven = async (): Promise<void> => {
    if ((await device.read('fast', 5_000))['hashrate']?.ok !== true) throw new Error('no hashrate was read');
  };
  const plain = (): Promise<void> =>
    new Promise((resolve, reject) => {
      const socket = net.connect(port, HOST, () => socket.write('{"command":"stats"}'));
      let text = '';
      socket.setEncoding('utf8');
      socket.on('data', (part: string) => (text += part));
      socket.on('error', reject);
      socket.on('end', () => {
        JSON.parse(text.replace('\u0000', ''));
        socket.destroy();
        resolve();
      });
    });
  const value = await cpuUs({ operations: POLLS, run: () => repeated(POLLS, driven) });
  const baseline = await cpuUs({ operations: POLLS, run: () => repeated(POLLS, plain) });
  return figure('poll of an Antminer (baseline: plain net and JSON.parse)', 'us', value, {
    goal: 110,
    baseline,
  });
}

async function modbusFigure(port: number): Promise<Figure> {
  const { lines, clock } = realEffects();
  const line = lines.line({ framing: 'tcp', host: HOST, port });
  const ours = async (): Promise<void> => {
    for (let done = 0; done < READS; done += 1)
      await line.read({
        unit: 1,
        fc: 3,
        address: 0,
        count: REGISTERS,
        deadlineMs: clock.monoMs() + 2_000,
      });
  };
  const other = new ModbusRTU.default();
  await other.connectTCP(HOST, { port });
  other.setID(1);
  const theirs = async (): Promise<void> => {
    for (let done = 0; done < READS; done += 1) await other.readHoldingRegisters(0, REGISTERS);
  };
  try {
    const value = await cpuUs({ operations: READS, run: ours });
    const baseline = await cpuUs({ operations: READS, run: theirs });
    return figure('Modbus read of 100 registers (baseline: modbus-serial)', 'us', value, { baseline });
  } finally {
    lines.close();
    other.close(() => undefined);
  }
}
