// Package certificate is what the joint and the financial certificate have in common: a login is a
// signature by a certificate of the Korean PKI. It verifies the signature, the chain to the configured
// authorities, the kind of certificate and that it has not been revoked, and turns the result into
// evidence. It fetches revocation lists, asks responders, and defines how an authority is asked who a
// certificate's holder is.
package certificate
