/**
 * Every error the product reports, by code: what it means to the operator and what to do next.
 * Codes are never reused. `retry` says whether the same call may succeed later by itself.
 */
interface FaultText {
  readonly cause: string;
  readonly next: string;
  readonly retry: 'later' | 'never';
}

const table = {
  NET_REFUSED: { cause: 'the device refused the connection', next: 'check address and port, and that the device is on', retry: 'later' },
  NET_UNREACHABLE: { cause: 'there is no route to the device', next: 'check the address, the VLAN and the switch', retry: 'later' },
  NET_TIMEOUT: { cause: 'the device did not answer in time', next: 'check that it is powered and that its network port is up', retry: 'later' },
  NET_RESET: { cause: 'the device broke the connection off', next: 'try again; if it stays, restart the device’s API', retry: 'later' },
  // After a command it proves nothing of the command: a fault that is never tried again would count as a refusal.
  NET_OVERSIZE: { cause: 'the answer is larger than any this device gives', next: 'check that the address is the right device', retry: 'later' },
  LISTEN_FAILED: { cause: 'an address to listen on cannot be used', next: 'stop what uses it, or choose another port', retry: 'later' },
  ANSWER_GARBAGE: { cause: 'the answer cannot be understood', next: 'check that driver and firmware fit the device', retry: 'later' },
  ANSWER_PARTIAL: { cause: 'the answer broke off in the middle', next: 'try again; if it stays, check the network', retry: 'later' },
  VALUE_MISSING: { cause: 'the device does not report this value', next: 'nothing to do if this firmware lacks it', retry: 'later' },
  VALUE_INVALID: { cause: 'the device marks this value as invalid', next: 'check wiring and sensor', retry: 'later' },
  VALUE_IMPLAUSIBLE: { cause: 'the value is outside what is physically possible', next: 'check the profile, the scale and the device', retry: 'later' },
  VALUE_STALE: { cause: 'the value has not been refreshed', next: 'check the link to the device', retry: 'later' },
  AUTH_FAILED: { cause: 'the device refused the credentials', next: 'check user and password reference in the site file', retry: 'never' },
  VERB_REFUSED: { cause: 'the device refused the command', next: 'see the device’s own message', retry: 'never' },
  VERB_UNSUPPORTED: { cause: 'this firmware cannot do that', next: 'use a verb from the capability list', retry: 'never' },
  VERB_NOT_OBSERVED: { cause: 'the command was accepted but readings do not show its effect', next: 'look at the machine; restart it or take it out of control', retry: 'later' },
  MODBUS_EXCEPTION: { cause: 'the meter answered with a Modbus exception', next: 'check profile and unit number', retry: 'later' },
  MODBUS_FRAME: { cause: 'the bytes on the line are not a valid Modbus frame', next: 'check framing (TCP or RTU over TCP) and the gateway', retry: 'later' },
  MODBUS_DESYNC: { cause: 'an answer did not belong to the question', next: 'nothing: the line was reopened; if it stays, check for a second Modbus master', retry: 'later' },
  SSH_HOST_KEY: { cause: 'the host’s key is not the pinned one', next: 'find out why it changed before pinning the new key', retry: 'never' },
  SSH_FAILED: { cause: 'the SSH session failed', next: 'check user, key file and sshd on the host', retry: 'later' },
  REMOTE_FAILED: { cause: 'the remote command failed', next: 'see its message on the host', retry: 'later' },
  GPU_NOT_RELEASED: { cause: 'GPUs are still held by a process or memory is not free', next: 'look at the processes on the host; the hand-over was stopped', retry: 'later' },
  GPU_TELEMETRY_LOST: { cause: 'no GPU telemetry for too long', next: 'check the driver and nvidia-smi on the host', retry: 'later' },
  BUS_OFFLINE: { cause: 'the message broker is not connected', next: 'check the broker; data is kept until it returns', retry: 'later' },
  BUS_MESSAGE: { cause: 'a message does not follow its schema', next: 'check versions of agent and controller', retry: 'never' },
  DESIRED_STALE: { cause: 'a desired state is older than the one in force', next: 'nothing: it was refused', retry: 'never' },
  DESIRED_EXPIRED: { cause: 'a desired state has expired', next: 'nothing: no new action was started for it', retry: 'never' },
  LEASE_STALE: { cause: 'the controller is silent: nothing is raised', next: 'check the controller', retry: 'later' },
  AGENT_LOST: { cause: 'an agent is not heard: what it reads is unknown here, and only its own guard works there', next: 'check its box, its process and its way to the broker; without the controller it goes into its fail-safe by itself', retry: 'later' },
  LEASE_LOST: { cause: 'the controller is silent for too long: the fail-safe is in force', next: 'check controller and broker', retry: 'later' },
  ENVELOPE_REFUSED: { cause: 'the command is outside the agent’s own limits', next: 'see the limit it names; change the site file if the limit is wrong', retry: 'later' },
  RAMP_WAIT: { cause: 'the command waits until a node’s ramp has room for it', next: 'nothing: it goes out as soon as the ramp allows; see the node it names', retry: 'later' },
  DWELL_WAIT: { cause: 'the machine was started or stopped too short a time ago', next: 'nothing: the command goes out when its least time is over', retry: 'later' },
  CYCLES_SPENT: { cause: 'the machine was started as often as it may be in 24 h', next: 'find out who toggles it; raise maxCyclesPerDay if the machine may take more', retry: 'later' },
  AUTHORITY_REFUSED: { cause: 'this scope is not under automatic authority', next: 'set its authority to automatic, or act by hand', retry: 'never' },
  DEVICE_LOST: { cause: 'the device stopped answering', next: 'check power and network of the device', retry: 'later' },
  RACK_LOST: { cause: 'a whole rack stopped answering', next: 'check the rack’s switch; nobody else is shed for it', retry: 'later' },
  COMMAND_IGNORED: { cause: 'the machine accepted a command and did not obey', next: 'restart the machine or switch its outlet; load was taken elsewhere meanwhile', retry: 'later' },
  QUARANTINED: { cause: 'a machine took a command in every form there is and did not obey: it is on the quarantine list and counted as not controllable', next: 'look at it: firmware version, write permission, a second manager. It leaves the list when a command to it is observed, when it is given back from manual, or when its lockout is released', retry: 'later' },
  BOARDS_LOST: { cause: 'hash boards of a machine take no part; it is counted with what is left', next: 'restart it; when they stay away look at the boards, their cables and the power supply', retry: 'later' },
  SELF_WOKEN: { cause: 'a machine changed its state by itself', next: 'look for a second manager or an auto-start setting', retry: 'later' },
  SHED_SHORTFALL: { cause: 'the meter shows less reduction than commanded', next: 'see the machines named; the rest was taken elsewhere', retry: 'later' },
  CAP_EXCEEDED: { cause: 'measured power is above a cap', next: 'load is being shed; look for load outside control', retry: 'later' },
  FEED_LOST: { cause: 'one of two feeds has no voltage', next: 'find out why its breaker is open; the other feed carries everything and has no second one', retry: 'later' },
  DEVICE_UNKNOWN: { cause: 'nobody here knows the device at this address', next: 'see what each question was answered; where you know the device, name it by its scheme (`read --help`)', retry: 'later' },
  DEVICE_OTHER: { cause: 'the device is another than the configuration says', next: 'check the address, the unit and the profile', retry: 'later' },
  METER_LOST: { cause: 'a meter stopped answering', next: 'check the meter and its line; control goes on from machine sums with a margin', retry: 'later' },
  ENERGY_ESTIMATED: { cause: 'energy of an interval of a revenue meter is estimated, or missing', next: 'see the reason in ./switchyard energy; check the meter, its line and the agent’s clock; settle the interval with the utility’s own reading', retry: 'later' },
  METER_STANDIN: { cause: 'a guard works without the meter of its node: by the meters below it or by machines, with a margin', next: 'see why the meter is silent or not believed; until it tells again the node has a little less room than its cap', retry: 'later' },
  METER_IMPLAUSIBLE: { cause: 'a meter’s values contradict the machines', next: 'check wiring, CT ratio and profile', retry: 'later' },
  METER_WIRING: { cause: 'a meter’s phases show that it is wired wrongly', next: 'see the phase it names: turn its current transformer, or put current and voltage of one phase together; what the meter says is not used until then', retry: 'later' },
  METER_RATIO: { cause: 'a meter contradicts the meters above and below it, and the machines', next: 'check its CT ratio, in the meter and on the transformer, and invert in its target; if a load below it is undeclared, declare it as auxiliary', retry: 'later' },
  METER_DRIFT: { cause: 'what lies between a meter and those below it has changed', next: 'look for a new load between them; else have the meters and transformers it names checked', retry: 'later' },
  METER_DOUBTFUL: { cause: 'a meter contradicts itself, or its values stand still under load', next: 'see what it names: wiring, profile, gateway or the meter; its values are not used until they agree again', retry: 'later' },
  METER_SETUP: { cause: 'a meter is another one, or its transformer ratio is not what it was or what the site file says', next: 'read CT, PT and serial number off the meter, set the meter right or state them under `declared` of the meter in the site file; it does not steer until then', retry: 'later' },
  METER_CHANGED: { cause: 'a meter says that it is set up in another way than before', next: 'check that the profile fits its new firmware or resolution, and that the new serial number or ratio is meant', retry: 'later' },
  METER_AGREED: { cause: 'a person has agreed with what a meter says against what was found of it', next: 'nothing while it is true; mend what was found, or state the new setup in the site file: a finding that was declared wrong is raised again when the time it names is over', retry: 'never' },
  AGREE_REFUSED: { cause: 'there is nothing of that kind to agree with (any more)', next: 'look at the alarms of the meter: what stands there now can be agreed with, in the words it has now', retry: 'never' },
  METER_COUNTER: { cause: 'an energy register did not simply count on', next: 'nothing for a rollover or a misread value; for a reset, a jump or another meter check the energy of that time', retry: 'later' },
  PRICE_INVALID: { cause: 'the price feed gave a value that cannot be a price', next: 'check the feed; the last good price holds for its allowed time', retry: 'later' },
  PRICE_STALE: { cause: 'the price is too old', next: 'check the feed; the declared fallback price is in force', retry: 'later' },
  PRICE_HELD: { cause: 'no newer price can be used: the last good one, or what was announced for now, is in force', next: 'check the feed; see until when it holds and what follows', retry: 'later' },
  INPUT_DOUBTFUL: { cause: 'a price is far from the one before it, or two sources disagree', next: 'look at the market; if the value is right, agree with it by name', retry: 'later' },
  LIMIT_OUTSIDE: { cause: 'the utility asks for more than its contract allows', next: 'call the utility; if it is right, agree with it by name', retry: 'later' },
  SIGNAL_INVALID: { cause: 'a signal cannot be understood or is out of range', next: 'check the source', retry: 'later' },
  SIGNAL_LOST: { cause: 'a signal source is silent', next: 'check the source; its declared loss behaviour is in force', retry: 'later' },
  LIMIT_INFEASIBLE: { cause: 'no allocation meets the limit', next: 'shed load by hand or check the limit', retry: 'later' },
  AI_INTERRUPTED: { cause: 'AI work under contract had to be interrupted', next: 'see the limit that forced it', retry: 'later' },
  CONFIG_SYNTAX: { cause: 'the file is not valid YAML', next: 'correct the line named', retry: 'never' },
  CONFIG_INVALID: { cause: 'the site file breaks a rule', next: 'correct the line named', retry: 'never' },
  TARGET_INVALID: { cause: 'the target URL cannot be used', next: 'see `read --help` for the forms', retry: 'never' },
  SECRET_MISSING: { cause: 'a secret that is named by reference is not there', next: 'set the environment variable, or make the file readable, for the user that this runs as', retry: 'never' },
  USAGE: { cause: 'the command line is wrong', next: 'see --help', retry: 'never' },
  DISK_FULL: { cause: 'the disk is full', next: 'free space; what cannot be written down is not commanded, readings wait in memory up to their bound', retry: 'later' },
  DISK_LOW: { cause: 'a disk is 90 % full or more: debug lines, at an agent from 95 % on readings, and at the controller from 99 % on alarms of lower priority give way to what must be written', next: 'free space, or give the box a larger disk; commands, audit and the utility’s events go on', retry: 'later' },
  LEDGER_RESERVE: { cause: 'the disk is full: the ledger lives on the room it holds for that', next: 'free space now; when the rest it names is used up too, nothing is commanded any more', retry: 'later' },
  DISK_FAILED: { cause: 'the disk refused to write or sync', next: 'check the disk', retry: 'later' },
  SPOOL_THINNED: { cause: 'an agent’s spool is nearly full: readings of the outage are thinned, or let go', next: 'bring controller or broker back; give the spool more room in the site file', retry: 'later' },
  SPOOL_DAMAGED: { cause: 'records of an agent’s spool cannot be read; they are left out', next: 'check the disk of the edge box', retry: 'never' },
  KEPT_DAMAGED: { cause: 'a file in which the agent keeps its own state is damaged: its copy is used; with both damaged nothing is started', next: 'check the disk; when both are damaged, restore the file it names, or remove both after looking at the racks it is about', retry: 'later' },
  FOREIGN_WRITER: { cause: 'a setting of a machine was changed by someone else', next: 'find out who: vendor auto-tuning, a second manager or a person; its value is the one that is kept now', retry: 'later' },
  POOLS_NOT_SET: { cause: 'a machine that was told other pools is not known to mine there', next: 'read why; look at the machine’s own page, then give the order again', retry: 'later' },
  FOREIGN_MASTER: { cause: 'the machine obeys another master at present', next: 'end the curtailment at its source, or switch that service off on the machine; the command is given again once a minute while it is wanted', retry: 'never' },
  SETTING_DISTURBED: { cause: 'a command changed a setting that it should have left as it was', next: 'put the setting it names right by hand; check the firmware', retry: 'later' },
  LOCKED_OUT: { cause: 'the machine is locked out: someone may have their hands in it', next: 'ask the person it names; only they release it', retry: 'never' },
  LOCKOUT_AWAKE: { cause: 'a machine under lockout is at work', next: 'keep hands out of it, open its breaker, and find out who started it', retry: 'later' },
  LOCKOUT_UNHELD: { cause: 'a lockout is not confirmed by the agent that must hold it', next: 'do not rely on it: open the breaker; check the agent and the broker', retry: 'later' },
  PERMISSIVE_LOST: { cause: 'cooling or another condition for running is lost', next: 'look at the equipment it names; starts go on by themselves when it is good again', retry: 'later' },
  PERMISSIVE_UNKNOWN: { cause: 'a condition for running cannot be read', next: 'check the PLC and its line; starts go on when it can be read', retry: 'later' },
  PROTECTION_TRIPPED: { cause: 'a breaker or relay has taken load away', next: 'find out why it tripped, bring it back, then permit the restart', retry: 'later' },
  OUTLET_OPEN: { cause: 'a contactor or outlet is open: what is behind it has no power', next: 'nothing after an outage: it is closed when what is behind it may start; `why MACHINE` says what it waits for', retry: 'later' },
  OUTLET_LOADED: { cause: 'what is behind the outlet draws power, or nobody knows', next: 'put the machine to sleep first; with --force it is cut all the same', retry: 'later' },
  OUTLET_FAILED: { cause: 'a contactor or outlet does not do what it is told, or its read-back is wrong', next: 'look at the contactor, its supply, its auxiliary contact and the PLC', retry: 'later' },
  INPUT_LOST: { cause: 'inputs of a PLC cannot be read', next: 'check the PLC, its line and the points in the site file', retry: 'later' },
  PUMP_FAILED: { cause: 'the output that demands a pump cannot be written', next: 'check the PLC; run the pump by hand while machines below it work or its water may freeze', retry: 'later' },
  WATCHDOG_FAILED: { cause: 'the hardware watchdog output cannot be written', next: 'check the PLC; it may drop the load at any moment', retry: 'later' },
  WATCHDOG_STANDS: { cause: 'the agent cannot guard and lets its hardware watchdog stand still', next: 'check meters and machine network of the node; the PLC drops the load', retry: 'later' },
  DATA_IN_USE: { cause: 'another process of the same kind works in this data directory', next: 'end that one first (kill -9 if it hangs), or name another directory with --data', retry: 'later' },
  CONTROLLER_SUPERSEDED: { cause: 'another controller is in charge of this site', next: 'nothing if that is wanted; else end the other one, then start this one again', retry: 'later' },
  LEDGER_BROKEN: { cause: 'the ledger’s hash chain is broken', next: 'keep the file as evidence; the record named is the first bad one', retry: 'never' },
  QUEUE_FULL: { cause: 'a queue reached its bound', next: 'see what fills it', retry: 'later' },
  OPERATOR_REFUSED: { cause: 'the operator command cannot be carried out', next: 'see what it names: an owner and a rule that stand against it, or a name that is not there', retry: 'never' },
  COMMISSION_REFUSED: { cause: 'the topology cannot be proven at this moment', next: 'wait until what it names is over, or mend it, and run the command again; what it had switched is given back', retry: 'later' },
  LOGIN_REFUSED: { cause: 'the login was refused', next: 'take a code that nobody has used: `code` in a console that is logged in gives one, and so does SIGUSR2 to the controller (or to `up`)', retry: 'never' },
  LOGIN_THROTTLED: { cause: 'too many wrong codes came from this address', next: 'wait until the time it names, then use the one-time code printed at start', retry: 'later' },
  CONSOLE_REQUEST: { cause: 'a console request does not follow the protocol', next: 'check that console and controller are of one version', retry: 'never' },
  PART_FAILED: { cause: 'a part of the product ended before it was ready', next: 'see what that part said just before', retry: 'never' },
  NODE_TOO_OLD: { cause: 'Node.js is too old', next: 'run npm ci, which brings Node.js 24', retry: 'never' },
  INTERNAL: { cause: 'the product broke one of its own rules', next: 'report this with the log', retry: 'never' },
} as const satisfies Record<string, FaultText>;

export type FaultCode = keyof typeof table;
export const FAULTS: Readonly<Record<FaultCode, FaultText>> = table;

/** A text as a sentence: with one end, whatever it ended with. */
export const sentence = (text: string): string => {
  const whole = text.trimEnd().replace(/\.{2,}$/u, '.');
  return /[.!?…]$/u.test(whole) ? whole : `${whole}.`;
};

/** What happened, and what to do about it. */
export const withNext = (text: string, next: string): string => `${sentence(text)} Next: ${sentence(next)}`;

/** Every error thrown or reported: a code, what happened here, and by its code the next step. */
export class Fault extends Error {
  override readonly name = 'Fault';
  readonly code: FaultCode;
  readonly detail: string;

  constructor(code: FaultCode, detail = '', options?: ErrorOptions) {
    super(`${code}: ${FAULTS[code].cause}${detail === '' ? '' : ` (${detail})`}`, options);
    this.code = code;
    this.detail = detail;
  }

  get retry(): 'later' | 'never' {
    return FAULTS[this.code].retry;
  }
}

/** The fault that an unknown error is; one that is none of ours becomes `fallback`. */
export function asFault(error: unknown, fallback: FaultCode = 'INTERNAL'): Fault {
  if (error instanceof Fault) return error;
  return new Fault(fallback, error instanceof Error ? error.message : String(error), { cause: error });
}

/** The plain form for JSON output and messages. */
export function faultJson(fault: Fault): { code: FaultCode; cause: string; detail: string; next: string } {
  return { code: fault.code, cause: FAULTS[fault.code].cause, detail: fault.detail, next: FAULTS[fault.code].next };
}
