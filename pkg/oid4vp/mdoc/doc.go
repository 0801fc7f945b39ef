// Package mdoc verifies mdocs, the mobile documents of ISO/IEC 18013-5, as wallets present them by OpenID for
// Verifiable Presentations 1.0.
//
// [Verifier] is what package oid4vp calls for the credential format mso_mdoc. [Verify] is the same without
// OpenID4VP around it: it takes a DeviceResponse and a [SessionTranscript], and gives a [Document] with its
// elements as Go values that keep the type they had in CBOR.
//
// # What is verified
//
//   - The structure: one DeviceResponse of version 1.0, status 0, with exactly one document and no errors. It is CBOR with definite
//     lengths, without doubled keys, unknown members or trailing bytes, and within limits of size, depth and number.
//   - The issuer: issuerAuth is an untagged COSE_Sign1, whose certificate was issued directly by one of the pinned roots ([Anchors]),
//     both after the profiles of ISO/IEC 18013-5 Annex B.
//   - The mobile security object, MSO: tag 24, version, validity, a signing time within the validity of the
//     certificate, and the document type, which is the same in MSO, document and query.
//   - Each element: the digest over its bytes as they came, tag 24 included, under a digest ID that comes
//     once. Nothing is encoded again to be hashed. The issuing country must be the certificate's.
//   - The device: a signature by the key in the MSO over document type, elements of the device and the
//     transcript, hence over client_id, nonce, response_uri and the verifier's encryption key. A MAC in its place is
//     refused unless the caller has a key for it. What the device says itself it must be authorized to say, and it stays apart
//     from what the issuer says.
//
// Whether the document still holds is told by its status, which [Document] gives for the caller to ask; package
// oid4vp does. CRLs are not looked at: a caller who has them finds the certificates in [Document] too.
//
// # Rules
//
// No function opens a connection or a file, and none keeps what it was given. There is no trust anchor in this
// package. Signatures are ES256 and ESP256 on P-256, and where the caller allows it ES384 and ESP384 on P-384. Every
// error is an [*oid4vp.Error]; none holds an element's value, though some hold names of elements.
//
// # Sources
//
// ISO/IEC 18013-5:2021 §8.3.2.1.2 (DeviceResponse), §9.1.2 (issuer data), §9.1.3 (device), §9.3 (inspection), Annex B
// (certificates); OpenID4VP 1.0 Appendix B.2; RFC 8949 (CBOR); RFC 9052, 9053 and 9360 (COSE); RFC 9864 (ESP256).
package mdoc
