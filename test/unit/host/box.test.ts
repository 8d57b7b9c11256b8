import { expect, test } from 'vitest';
import { defaultLink, localMounts, processorOf, trafficOf } from '../../../host/box.ts';

test('file systems that count are local and written to, each once', () => {
  const mounts = [
    'proc /proc proc rw,nosuid 0 0',
    '/dev/sda2 / ext4 rw,relatime 0 0',
    '/dev/sda2 /etc/hosts ext4 rw,relatime 0 0',
    '/dev/sdb1 /srv/with\\040space xfs rw 0 0',
    '/dev/loop3 /snap/core/1 squashfs ro,nodev 0 0',
    '/dev/sdc1 /mnt/archive ext4 ro,noatime,errors=remount-rw 0 0',
    '/dev/fuse /run/user/1000/doc fuse.portal rw 0 0',
    '//nas/share /mnt/nas cifs rw 0 0',
    'nas:/export /mnt/nfs nfs4 rw 0 0',
    'tank/data /tank zfs rw 0 0',
    'tmpfs /run tmpfs rw 0 0',
    '',
  ].join('\n');
  expect(localMounts(mounts)).toEqual(['/', '/srv/with space', '/tank']);
});

test('the root counts in a container, where it has no device', () => {
  expect(localMounts('overlay / overlay rw,lowerdir=/var 0 0\ntmpfs /dev tmpfs rw 0 0\n')).toEqual(['/']);
});

const routes = [
  'Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT',
  'wlan0\t00000000\t010200C0\t0003\t0\t0\t600\t00000000\t0\t0\t0',
  'eth1\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0',
  'eth1\t0001A8C0\t00000000\t0001\t0\t0\t50\t00FFFFFF\t0\t0\t0',
  '',
];

test('the interface that counts is the default route’s with the least metric', () => {
  expect(defaultLink(routes.join('\n'))).toBe('eth1');
  expect(defaultLink(routes.slice(0, 1).join('\n'))).toBeUndefined();
});

const devices = [
  'Inter-|   Receive                                                |  Transmit',
  ' face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed',
  '    lo: 9999 1 0 0 0 0 0 0 9999 1 0 0 0 0 0 0',
  '  eth0: 5 1 0 0 0 0 0 0 7 1 0 0 0 0 0 0',
  'eth1:123456789012 1 0 0 0 0 0 0 21 1 0 0 0 0 0 0',
  '',
].join('\n');

test('bytes of one interface, or of all but the loopback where there is no default route', () => {
  expect(trafficOf(devices, 'eth1')).toEqual({ receivedBytes: 123_456_789_012, sentBytes: 21 });
  expect(trafficOf(devices)).toEqual({ receivedBytes: 123_456_789_017, sentBytes: 28 });
  expect(trafficOf(devices, 'eth9')).toBeUndefined();
});

test('the processor’s temperature comes from the sensor that is nearest to it', () => {
  const core = { label: 'core 0', milliC: 40_000 };
  const other = { label: 'core 1', milliC: 44_000 };
  const zone = { label: 'cpu-thermal', milliC: 51_500 };
  const board = { label: 'acpitz', milliC: 20_000 };
  expect(processorOf([core, { label: 'package id 0', milliC: 47_000 }], [zone])).toBe(47);
  expect(processorOf([{ label: 'composite', milliC: 30_000 }, core, other], [zone])).toBe(42);
  expect(processorOf([], [board, zone])).toBe(51.5);
  expect(processorOf([], [board])).toBeUndefined();
});
