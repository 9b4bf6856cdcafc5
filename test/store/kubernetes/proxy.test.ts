import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EspalierError } from '../../../src/base/errors.ts';
import { proxyFor } from '../../../src/store/kubernetes/proxy.ts';

const proxy = 'http://proxy:3128';
const isProxied = (server: string, noProxy: string): boolean =>
  proxyFor(new URL(server), undefined, { HTTPS_PROXY: proxy, NO_PROXY: noProxy }) === proxy;

test('NO_PROXY is read as Go reads it', () => {
  const rows: [server: string, noProxy: string, isProxied: boolean][] = [
    ['https://api.example.com', '', true],
    ['https://api.example.com', '*', false],
    ['https://api.example.com', 'example.com', false],
    ['https://api.example.com', '.example.com', false],
    ['https://api.example.com', '*.example.com', false],
    ['https://example.com', 'example.com', false],
    ['https://example.com', '.example.com', true],
    ['https://notexample.com', 'example.com', true],
    ['https://API.example.com', 'other.org, Example.COM', false],
    ['https://api.example.com', 'example.com:6443', true],
    ['https://api.example.com:6443', 'example.com:6443', false],
    ['https://api.example.com', 'example.com:443', false],
    ['https://10.1.2.3', '10.0.0.0/8', false],
    ['https://11.1.2.3', '10.0.0.0/8', true],
    ['https://10.1.2.3:6443', '10.1.2.3', false],
    ['https://10.1.2.3:6443', '10.1.2.3:443', true],
    ['https://10.1.2.3', '10.1.2.3/99', true],
    ['https://[fd00::1]:6443', 'fd00::/8', false],
    ['https://[fd00::1]', 'fd00::1', false],
    ['https://127.0.0.1:6443', '', false],
    ['https://localhost:6443', '', false],
    ['https://[::1]:6443', '', false],
  ];
  for (const [server, noProxy, expected] of rows) {
    assert.equal(isProxied(server, noProxy), expected, `${server} with ${noProxy}`);
  }
});

test('the cluster’s proxy-url comes first, then the variable of the scheme, in either case', () => {
  const server = new URL('https://api.example.com');
  const environment = { HTTPS_PROXY: 'http://other', NO_PROXY: '*' };
  assert.equal(proxyFor(server, 'socks5://near:1080', environment), 'socks5://near:1080');
  assert.equal(proxyFor(server, undefined, { https_proxy: 'near:3128' }), 'http://near:3128');
  assert.equal(proxyFor(server, undefined, { HTTP_PROXY: proxy, ALL_PROXY: proxy }), undefined);
  const plain = new URL('http://api.example.com');
  assert.equal(proxyFor(plain, undefined, { HTTP_PROXY: proxy }), proxy);
});

test('another kind of proxy is refused, without its password', () => {
  for (const text of ['ftp://me:s3cret@proxy', 'not a URL s3cret']) {
    assert.throws(
      () => proxyFor(new URL('https://api.example.com'), text, {}),
      (error) =>
        error instanceof EspalierError &&
        error.code === 'KubeconfigInvalid' &&
        /expected a proxy of http, https or socks5/.test(error.message) &&
        !error.message.includes('s3cret'),
    );
  }
});
