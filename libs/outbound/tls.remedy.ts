const UNKNOWN_ISSUER =
  'its certificate is of an authority that this machine does not know: name a file with that certificate in ' +
  "NODE_EXTRA_CA_CERTS, in the process's environment";
const PLAIN = 'nothing there speaks TLS: check the address';

/** What to do about a TLS connection that was not made, by the code of the error. */
const REMEDIES: Readonly<Record<string, string>> = {
  SELF_SIGNED_CERT_IN_CHAIN: UNKNOWN_ISSUER,
  DEPTH_ZERO_SELF_SIGNED_CERT: UNKNOWN_ISSUER,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: UNKNOWN_ISSUER,
  UNABLE_TO_GET_ISSUER_CERT: UNKNOWN_ISSUER,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: UNKNOWN_ISSUER,
  ERR_TLS_CERT_ALTNAME_INVALID: 'its certificate is for another host name',
  CERT_HAS_EXPIRED: 'its certificate has expired',
  CERT_NOT_YET_VALID: "its certificate is not valid yet: check this machine's clock",
  ERR_SSL_WRONG_VERSION_NUMBER: PLAIN,
  ERR_SSL_PACKET_LENGTH_TOO_LONG: PLAIN,
};

/** undefined when the error is of another kind. */
export const tlsRemedy = (code: string | undefined): string | undefined => REMEDIES[code ?? ''];
