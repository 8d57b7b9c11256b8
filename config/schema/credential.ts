import * as z from 'zod';
import { idSchema } from './node.ts';

/** By what machines of one scheme let themselves be commanded: at some of them, below some nodes, or at the whole site. */
export const credentialSchema = z
  .strictObject({
    /** Of the targets it is for, as in `antminer://`. */
    scheme: z.string().regex(/^[a-z][a-z0-9+-]*$/, 'a scheme is what stands before :// in a target'),
    /** Racks, or what is above them: for every machine below. */
    nodes: z.array(idSchema).min(1).max(20_000).optional(),
    machines: z.array(idSchema).min(1).max(100_000).optional(),
    user: z.string().min(1).optional(),
    passwordEnv: z.string().min(1).optional(),
    /** `{machine}` and `{rack}` are their ids: a file for each. */
    passwordFile: z.string().min(1).optional(),
    /** GPU hosts: the private key file. */
    keyFile: z.string().min(1).optional(),
  })
  .refine(({ nodes, machines }) => nodes === undefined || machines === undefined, {
    message: 'give either `nodes` or `machines`, or neither for the whole site',
  })
  .refine(
    ({ passwordEnv, passwordFile, keyFile }) =>
      [passwordEnv, passwordFile, keyFile].filter((one) => one !== undefined).length === 1,
    { message: 'give one of `passwordEnv`, `passwordFile` and `keyFile`' },
  );
export type Credential = z.infer<typeof credentialSchema>;
