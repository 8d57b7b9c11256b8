/**
 * The pages of a stock Antminer that say again what its API says, in words of their own: `stats.cgi`, `summary.cgi`,
 * `pools.cgi`, and who it is. Written from recorded answers (S23 Hyd.) and a mock by others (S19 XP), whose
 * `stats.cgi` holds `miner-mode`, and an empty list while it sleeps.
 */
type Words = Readonly<Record<string, unknown>>;

export interface AntminerTells {
  readonly id: string;
  readonly type: string;
  readonly mode: number;
  /** Sections of the API, header first; without values while it sleeps. */
  readonly stats: readonly Words[];
  readonly summary: readonly Words[];
  readonly pools: readonly Words[];
}

const BUILT = 'Tue Mar  4 10:00:00 CST 2025';
const NETWORK = {
  nettype: 'DHCP',
  netdevice: 'eth0',
  macaddr: '02:00:00:00:00:01',
  netmask: '255.255.255.0',
};

/** Undefined for a page there is not. */
export function antminerPage(name: string | undefined, tells: AntminerTells): string | undefined {
  const page = pageOf(name, tells);
  return page && JSON.stringify(page);
}

function pageOf(name: string | undefined, tells: AntminerTells): Words | undefined {
  const { id, type } = tells;
  const api = (message: string, section: Words): Words => ({
    STATUS: { STATUS: 'S', when: 0, Msg: message, api_version: '1.0.0' },
    INFO: { miner_version: '49.0.1.3', CompileTime: BUILT, type },
    ...section,
  });
  switch (name) {
    case 'get_system_info.cgi':
      return {
        minertype: type,
        ...NETWORK,
        hostname: 'Antminer',
        serinum: id,
        firmware_type: 'Release',
        system_filesystem_version: BUILT,
      };
    case 'miner_type.cgi':
      return { miner_type: type, subtype: 'AMLCtrl_BHB42XXX', fw_version: BUILT };
    case 'get_network_info.cgi':
      return { ...NETWORK, ipaddress: '10.0.0.1', conf_nettype: 'DHCP', conf_hostname: 'Antminer' };
    case 'stats.cgi':
      return api('stats', { STATS: tells.stats.slice(1).map((said) => statsOf(said, tells.mode)) });
    case 'summary.cgi':
      return api('summary', { SUMMARY: tells.summary.map(summaryOf) });
    case 'pools.cgi':
      return api('pools', { POOLS: tells.pools.map(poolOf) });
    default:
      return undefined;
  }
}

function ratesOf(said: Words): Words {
  return {
    elapsed: said['Elapsed'],
    rate_5s: said['GHS 5s'],
    rate_avg: said['GHS av'],
    rate_30m: said['GHS 30m'] ?? said['rate_30m'],
    rate_unit: 'GH/s',
  };
}

function statsOf(said: Words, mode: number): Words {
  const boards = [1, 2, 3, 4].filter((place) => Number(said[`chain_acn${place}`] ?? 0) > 0);
  const watts = said['chain_power'];
  const ideal = Number(said['total_rateideal']);
  return {
    ...ratesOf(said),
    rate_ideal: ideal,
    chain_num: boards.length,
    fan_num: said['fan_num'],
    fan: [1, 2, 3, 4].map((place) => said[`fan${place}`]),
    hwp_total: 0,
    'miner-mode': mode,
    'freq-level': 100,
    ...(typeof watts === 'string' && { watt: Number.parseInt(watts, 10) }),
    chain: boards.map((place) => {
      const pcb = sensors(said[`temp_pcb${place}`]);
      return {
        index: place - 1,
        freq_avg: said[`freq${place}`],
        rate_ideal: ideal / boards.length,
        rate_real: Number(said[`chain_rate${place}`]),
        asic_num: said[`chain_acn${place}`],
        asic: said[`chain_acs${place}`],
        temp_pic: pcb.map((degrees) => degrees - 10),
        temp_pcb: pcb,
        temp_chip: sensors(said[`temp_chip${place}`]),
        hw: 0,
        eeprom_loaded: true,
      };
    }),
  };
}

const sensors = (text: unknown): number[] => String(text).split('-').map(Number);

function summaryOf(said: Words): Words {
  return { ...ratesOf(said), hw_all: said['Hardware Errors'], bestshare: 0, status: [] };
}

function poolOf(said: Words): Words {
  return {
    index: said['POOL'],
    url: said['URL'],
    user: said['User'],
    status: said['Status'],
    priority: said['Priority'],
    getworks: 0,
    accepted: 100,
    rejected: 0,
    discarded: 0,
    stale: 0,
    diff: '',
    diff1: 0,
    diffa: 0,
    diffr: 0,
    diffs: 0,
    lsdiff: 0,
    lstime: '0',
  };
}
