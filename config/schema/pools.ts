import * as z from 'zod';

/** No commas, bars, quotes or blanks: several firmwares put them between the words of one command. */
const PLAIN = /^[A-Za-z0-9_.:/@{}+=*~#%?&()[\]-]*$/;
const PLACEHOLDERS = ['{machine}', '{rack}'];

const urlSchema = z
  .string()
  .max(200)
  .regex(
    /^stratum2?\+(?:tcp|ssl|tls):\/\/(?:[A-Za-z0-9.-]+|\[[0-9a-fA-F:]+\]):\d{1,5}(?:\/[A-Za-z0-9_./-]*)?$/,
    'a pool is stratum+tcp://host:port, or with +ssl, +tls or stratum2 in front',
  );

const userSchema = z
  .string()
  .min(1)
  .max(120)
  .regex(PLAIN, 'no blanks, commas, quotes or bars in the name at a pool')
  .refine(
    (user) => (user.match(/\{[^}]*\}?/g) ?? []).every((one) => PLACEHOLDERS.includes(one)),
    `in braces stands ${PLACEHOLDERS.join(' or ')} and nothing else`,
  );

const poolSchema = z.strictObject({
  url: urlSchema,
  /** The name at the pool, with `{machine}` and `{rack}` where their ids go. */
  user: userSchema,
  /** Environment variable of the agent that holds the password; absent: `x`, which pools that want none take. */
  passwordEnv: z
    .string()
    .regex(/^[A-Za-z_][A-Za-z0-9_]{0,99}$/, 'the name of an environment variable')
    .optional(),
});
export type PoolConfig = z.infer<typeof poolSchema>;

/** One set of pools: the first is mined at, those after it when it is down. Miners hold three. */
export const poolSetSchema = z.array(poolSchema).min(1).max(3);
