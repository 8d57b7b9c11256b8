import type { Driver } from '../driver.ts';
import { antminer } from './antminer.ts';
import { auradine } from './auradine.ts';
import { avalon } from './avalon.ts';
import { bitaxe } from './bitaxe.ts';
import { braiinsGraphql } from './braiins-graphql.ts';
import { braiins } from './braiins.ts';
import { cgminer } from './cgminer.ts';
import { epic } from './epic.ts';
import { gpuHost } from './gpu-host.ts';
import { luxos } from './luxos.ts';
import { modbusMeter } from './modbus-meter.ts';
import { protoRig } from './proto-rig.ts';
import { vnish } from './vnish.ts';
import { whatsminerV2 } from './whatsminer-v2.ts';
import { whatsminerV3 } from './whatsminer-v3.ts';

/** Every driver of the product; a target's scheme chooses among them. */
export const DRIVERS: readonly Driver[] = [
  antminer,
  auradine,
  avalon,
  bitaxe,
  braiins,
  braiinsGraphql,
  cgminer,
  epic,
  gpuHost,
  luxos,
  modbusMeter,
  protoRig,
  vnish,
  whatsminerV2,
  whatsminerV3,
];
