/** The simulated site on real loopback sockets: what `simulate` and `up` without a site file serve. */
import type { Site } from '../config/site.ts';
import type { Clock, Random } from '../host/deps.ts';
import { serveEndpoints } from './fronts/socket.ts';
import { serveSsh } from './fronts/ssh.ts';
import type { SshEndpoint } from './fronts/ssh.ts';
import type { WorldChange } from './scenarios.ts';
import { makeWorld } from './world.ts';
import type { World } from './world.ts';

export interface SimulatorOptions {
  readonly site: Site;
  readonly clock: Clock;
  readonly random: Random;
  /** SEC1 ECDSA PEM shown by every simulated GPU host. */
  readonly hostKey: string;
  /** OpenSSH line of the key that the agent logs in with. */
  readonly authorizedKey: string;
}

/** The tour gives a machine half a minute to wake where real ones take minutes. */
const WAKE_MAX_S = 25;

export interface Simulator {
  readonly world: World;
  /** Makes something happen now. Throws USAGE when it names what the site does not have. */
  apply(change: WorldChange): void;
  close(): Promise<void>;
}

/** Serves every device of the site. Rejects with LISTEN_FAILED, with nothing left open, when an address cannot be used. */
export async function startSimulator(options: SimulatorOptions): Promise<Simulator> {
  const { site, clock, random, hostKey, authorizedKey } = options;
  const world = makeWorld({ site, random, startMs: clock.wallMs() - clock.monoMs(), wakeMaxS: WAKE_MAX_S });
  const shells = world.endpoints.filter((endpoint): endpoint is SshEndpoint => endpoint.kind === 'ssh');
  const sockets = await serveEndpoints(world.endpoints, { clock });
  let ssh: { close(): Promise<void> };
  try {
    ssh = await serveSsh(shells, { clock, hostKey, authorizedKey });
  } catch (error) {
    await sockets.close();
    throw error;
  }
  return {
    world,
    apply: (change) => world.apply(change, clock.monoMs()),
    close: async () => {
      await Promise.all([sockets.close(), ssh.close()]);
    },
  };
}
