import { createPrivateKey, generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { isIP } from 'node:net';

/** PEM. */
export interface Certificate {
  cert: string;
  key: string;
}

export interface Subject {
  commonName: string;
  organization?: string;
}

/** X.690: tag, length, content. */
const der = (tag: number, ...parts: Buffer[]): Buffer => {
  const content = Buffer.concat(parts);
  const size = content.length;
  const length = size < 128 ? [size] : size < 256 ? [0x81, size] : [0x82, size >> 8, size & 255];
  return Buffer.concat([Buffer.from([tag, ...length]), content]);
};

const sequence = (...parts: Buffer[]): Buffer => der(0x30, ...parts);
/** Of an object identifier, its encoded content in hex. */
const oid = (hex: string): Buffer => der(0x06, Buffer.from(hex, 'hex'));
const bits = (content: Buffer): Buffer => der(0x03, Buffer.from([0]), content);
const time = (date: Date): Buffer =>
  der(0x17, Buffer.from(`${date.toISOString().replaceAll(/[-:T]/g, '').slice(2, 14)}Z`));

const ecdsaWithSha256 = sequence(oid('2a8648ce3d040302'));
const oids = {
  organization: '55040a',
  commonName: '550403',
  constraints: '551d13',
  altName: '551d11',
};

const nameOf = ({ commonName, organization }: Subject): Buffer => {
  const part = (id: string, text: string) =>
    der(0x31, sequence(oid(id), der(0x0c, Buffer.from(text))));
  return sequence(
    ...(organization === undefined ? [] : [part(oids.organization, organization)]),
    part(oids.commonName, commonName),
  );
};

const hostOf = (host: string): Buffer =>
  isIP(host) === 4
    ? der(0x87, Buffer.from(host.split('.').map(Number)))
    : der(0x82, Buffer.from(host));

const extension = (id: string, value: Buffer): Buffer => sequence(oid(id), der(0x04, value));

const pem = (content: Buffer): string => {
  const lines = content.toString('base64').match(/.{1,64}/g) ?? [];
  return ['-----BEGIN CERTIFICATE-----', ...lines, '-----END CERTIFICATE-----', ''].join('\n');
};

interface Wanted {
  subject: Subject;
  issuer: Subject;
  signer: KeyObject;
  publicKey: Buffer;
  extensions: Buffer[];
}

const dayMs = 86_400_000;

const certify = ({ subject, issuer, signer, publicKey, extensions }: Wanted): string => {
  const serial = Buffer.concat([Buffer.from([1]), randomBytes(8)]);
  const [from, to] = [-dayMs, dayMs].map((ms) => time(new Date(Date.now() + ms)));
  const body = sequence(
    der(0xa0, der(0x02, Buffer.from([2]))),
    der(0x02, serial),
    ecdsaWithSha256,
    nameOf(issuer),
    sequence(from!, to!),
    nameOf(subject),
    publicKey,
    ...(extensions.length > 0 ? [der(0xa3, sequence(...extensions))] : []),
  );
  return pem(sequence(body, ecdsaWithSha256, bits(sign('sha256', body, signer))));
};

const newKey = () => {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return {
    publicKey: publicKey.export({ type: 'spki', format: 'der' }),
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
  };
};

const issuer = { commonName: 'test authority' };

/** An authority of the test's own, valid for a day. */
export const createAuthority = (): Certificate => {
  const { publicKey, key } = newKey();
  const isAuthority = extension(oids.constraints, sequence(der(0x01, Buffer.from([0xff]))));
  const signer = createPrivateKey(key);
  const extensions = [isAuthority];
  return { cert: certify({ subject: issuer, issuer, signer, publicKey, extensions }), key };
};

/** `hosts`: names and IPv4 addresses of a server; none for a client. */
export const issue = (
  authority: Certificate,
  subject: Subject,
  hosts: string[] = [],
): Certificate => {
  const { publicKey, key } = newKey();
  const names = hosts.length > 0 ? [extension(oids.altName, sequence(...hosts.map(hostOf)))] : [];
  const signer = createPrivateKey(authority.key);
  return { cert: certify({ subject, issuer, signer, publicKey, extensions: names }), key };
};
