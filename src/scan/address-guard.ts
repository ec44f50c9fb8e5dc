/**
 * Which addresses a registry may have. It is somebody else's server under a name that he resolves: without this check he could have us call into our own network, or the cloud's metadata service.
 * @see IANA special-purpose address registries (RFC 6890 and its updates).
 */
import { BlockList, isIP } from 'node:net';

/** `public`: anybody's. `private`: ours, allowed by configuration. `never`: nobody's business, whatever is configured. */
export type AddressKind = 'public' | 'private' | 'never';

const PRIVATE = blockList(
  ['127.0.0.0/8', '10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '100.64.0.0/10', '198.18.0.0/15'],
  ['::1/128', 'fc00::/7'],
);

const NEVER = blockList(
  [
    '0.0.0.0/8',
    '169.254.0.0/16', // Link-local, and where clouds keep their metadata.
    '100.100.100.200/32', // Metadata of Alibaba Cloud.
    '192.0.0.0/24', // Protocol assignments; metadata of Oracle Cloud.
    '192.0.2.0/24',
    '192.88.99.0/24',
    '198.51.100.0/24',
    '203.0.113.0/24',
    '224.0.0.0/4',
    '240.0.0.0/4',
  ],
  [
    '::/128',
    'fe80::/10',
    'fec0::/10',
    'ff00::/8',
    'fd00:ec2::254/128', // Metadata of AWS.
    '2001:db8::/32',
    // Ways to write an IPv4 address that some gateway would unwrap.
    '64:ff9b::/96',
    '64:ff9b:1::/48',
    '2002::/16',
    '2001::/32',
  ],
);

/** @param address IPv4 or IPv6, without brackets. Anything else is `never`. */
export function kindOfAddress(address: string): AddressKind {
  const [plain = ''] = address.split('%');
  const unmapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(plain)?.[1] ?? plain;
  const family = isIP(unmapped);
  if (family === 0) return 'never';
  const type = family === 4 ? 'ipv4' : 'ipv6';
  if (NEVER.check(unmapped, type)) return 'never';
  return PRIVATE.check(unmapped, type) ? 'private' : 'public';
}

function blockList(v4: readonly string[], v6: readonly string[]): BlockList {
  const list = new BlockList();
  const add = (type: 'ipv4' | 'ipv6') => (range: string) => {
    const [network = '', prefix] = range.split('/');
    list.addSubnet(network, Number(prefix), type);
  };
  v4.forEach(add('ipv4'));
  v6.forEach(add('ipv6'));
  return list;
}
