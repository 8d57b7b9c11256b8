import { open, readdir, readFile, rename, rm, statfs } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { asFault, Fault } from '../protocols/faults.ts';
import type { AppendFile, Disk } from './deps.ts';

/** Runs a file operation; what goes wrong becomes Fault DISK_FULL or DISK_FAILED. */
async function onDisk<Result>(path: string, work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof Fault) throw error;
    const code = errorCode(error);
    const full = code === 'ENOSPC' || code === 'EDQUOT';
    throw new Fault(full ? 'DISK_FULL' : 'DISK_FAILED', `${path}: ${code ?? asFault(error).detail}`, {
      cause: error,
    });
  }
}

const errorCode = (error: unknown): string | undefined =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;

async function syncFolder(path: string): Promise<void> {
  const folder = await open(dirname(path), 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

async function replace(path: string, bytes: Uint8Array): Promise<void> {
  const temporary = `${path}.new`;
  try {
    const file = await open(temporary, 'w', 0o600);
    try {
      await file.writeFile(bytes);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => undefined);
    throw error;
  }
  await syncFolder(path);
}

/**
 * The machine's disk. `replace` writes a temporary file, syncs, renames and syncs the folder; replacements of one
 * path are made one after the other. Rejects with Fault DISK_FULL or DISK_FAILED.
 */
export function makeDisk(): Disk {
  const replacing = new Map<string, Promise<void>>();
  return {
    read: (path) =>
      onDisk(path, async () => {
        try {
          return new Uint8Array(await readFile(path));
        } catch (error) {
          if (errorCode(error) === 'ENOENT') return undefined;
          throw error;
        }
      }),
    replace: (path, bytes) => {
      const before = replacing.get(path) ?? Promise.resolve();
      const done = before.catch(() => undefined).then(() => onDisk(path, () => replace(path, bytes)));
      replacing.set(path, done);
      const forget = (): void => {
        if (replacing.get(path) === done) replacing.delete(path);
      };
      done.then(forget, forget);
      return done;
    },
    append: (path) =>
      onDisk(path, async () => {
        const handle = await openForAppend(path);
        const { size } = await handle.stat();
        return new RealAppendFile(path, handle, size);
      }),
    list: (prefix) =>
      onDisk(prefix, async () => {
        const names = await readdir(dirname(prefix));
        const found = names.filter((name) => name.startsWith(basename(prefix)));
        return found.sort().map((name) => join(dirname(prefix), name));
      }),
    remove: (path) =>
      onDisk(path, async () => {
        await rm(path, { force: true });
        await syncFolder(path);
      }),
    space: (path) =>
      onDisk(path, async () => {
        const { bsize, blocks, bfree, bavail } = await statfs(dirname(path));
        // As `df` counts: what only the administrator may use is neither there nor free.
        return { totalBytes: bsize * (blocks - bfree + bavail), freeBytes: bsize * bavail };
      }),
  };
}

async function openForAppend(path: string): Promise<FileHandle> {
  try {
    return await open(path, 'r+');
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error;
    const handle = await open(path, 'wx+', 0o600);
    // Else a power cut could lose the name of a file whose contents were synced.
    await syncFolder(path);
    return handle;
  }
}

const ZEROS = new Uint8Array(64 * 1_024);

class RealAppendFile implements AppendFile {
  readonly #path: string;
  readonly #handle: FileHandle;
  #sizeBytes: number;
  /** How far the file holds blocks, written or zeros. */
  #heldBytes: number;
  /** Operations one after the other: positions are ours, not the system's. */
  #tail: Promise<unknown> = Promise.resolve();
  #nextSync: Promise<void> | undefined;

  constructor(path: string, handle: FileHandle, sizeBytes: number) {
    this.#path = path;
    this.#handle = handle;
    this.#sizeBytes = sizeBytes;
    this.#heldBytes = sizeBytes;
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  get reservedBytes(): number {
    return this.#heldBytes - this.#sizeBytes;
  }

  append(bytes: Uint8Array): Promise<void> {
    this.#nextSync = undefined;
    return this.#queued(async () => {
      await this.#write(bytes, this.#sizeBytes);
      this.#sizeBytes += bytes.length;
    });
  }

  async #write(bytes: Uint8Array, at: number): Promise<void> {
    let written = 0;
    while (written < bytes.length) {
      const { bytesWritten } = await this.#handle.write(bytes, written, bytes.length - written, at + written);
      if (bytesWritten === 0) throw new Fault('DISK_FAILED', `${this.#path}: nothing was written`);
      written += bytesWritten;
      this.#heldBytes = Math.max(this.#heldBytes, at + written);
    }
  }

  // Everyone who asks between two appends waits for one fdatasync.
  sync(): Promise<void> {
    this.#nextSync ??= this.#queued(() => this.#handle.datasync());
    return this.#nextSync;
  }

  truncate(sizeBytes: number): Promise<void> {
    this.#nextSync = undefined;
    return this.#queued(async () => {
      await this.#handle.truncate(sizeBytes);
      this.#sizeBytes = sizeBytes;
      this.#heldBytes = sizeBytes;
    });
  }

  // Zeros that were really written: a hole, or blocks that the file system only promised, would not do on every one.
  reserve(bytes: number): Promise<void> {
    this.#nextSync = undefined;
    return this.#queued(async () => {
      const toBytes = this.#sizeBytes + bytes;
      while (this.#heldBytes < toBytes)
        await this.#write(
          ZEROS.subarray(0, Math.min(ZEROS.length, toBytes - this.#heldBytes)),
          this.#heldBytes,
        );
    });
  }

  rewind(sizeBytes: number): Promise<void> {
    this.#nextSync = undefined;
    return this.#queued(async () => {
      const found = Buffer.alloc(ZEROS.length);
      for (let at = sizeBytes; at < this.#heldBytes; at += found.length) {
        const { bytesRead } = await this.#handle.read(found, 0, found.length, at);
        const zeros = ZEROS.subarray(0, bytesRead);
        if (Buffer.compare(found.subarray(0, bytesRead), zeros) !== 0) await this.#write(zeros, at);
      }
      this.#sizeBytes = sizeBytes;
    });
  }

  close(): Promise<void> {
    return this.#queued(() => this.#handle.close());
  }

  #queued<Result>(work: () => Promise<Result>): Promise<Result> {
    const done = this.#tail.then(() => onDisk(this.#path, work));
    this.#tail = done.catch(() => undefined);
    return done;
  }
}
