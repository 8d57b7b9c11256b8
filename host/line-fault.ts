import { Fault } from '../protocols/faults.ts';
import { exceptionText } from '../protocols/modbus/frame.ts';

/** The device's refusal, with the number of the exception. */
export class ModbusException extends Fault {
  readonly exception: number;
  constructor(exception: number, where: string) {
    super('MODBUS_EXCEPTION', `${where}: ${exceptionText(exception)}`);
    this.exception = exception;
  }
}

/** The line had no time for this question until its deadline: it says nothing of the device. */
export class LineBusy extends Fault {
  constructor(where: string) {
    super('NET_TIMEOUT', `${where}: the line was busy until the deadline`);
  }
}

/** Exceptions 2 and 3 speak of the registers asked for, the others of the moment. */
export const isRefusal = (fault: Fault): boolean => isException(fault, 2, 3);

/** Accepted or busy: the same question may be answered a little later. */
export const isBusy = (fault: Fault): boolean => isException(fault, 5, 6);

/** A gateway speaks for a unit that it does not reach. */
export const isUnreachable = (fault: Fault): boolean => isException(fault, 10, 11);

function isException(fault: Fault, ...numbers: readonly number[]): boolean {
  return fault instanceof ModbusException && numbers.includes(fault.exception);
}
