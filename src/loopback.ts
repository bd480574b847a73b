/** Whether the address stays on this machine: 127.0.0.0/8, ::1, localhost and its subdomains (RFC 6761, section 6.3). */
export function isLoopback(url: URL): boolean {
  // The URL parser has already normalised other spellings of an address (`127.1`, `0x7f000001`) and the case.
  return /^(127(\.\d+){3}|\[::1\]|([^.]+\.)*localhost)$/.test(url.hostname);
}
