// Package npki reads, writes and verifies the formats of Korea's National Public Key Infrastructure: joint
// certificates (공동인증서, once 공인인증서) and financial certificates (금융인증서).
//
// # What a person holds
//
// A folder NPKI with signCert.der and signPri.key, an exported .pfx or .p12 file, or PEM made of these.
// [ParsePair] opens the two files, [ParsePFX] and [ParsePEM] the others, and all of them keep R, the random
// number beside the private key that ordinary readers lose. A [Bundle] writes PFX and PEM,
// [PrivateKey.Marshal] a key file in each of its encryptions, [ChangePassword] changes a key file's password.
//
// A [Certificate] is a crypto/x509 certificate that also knows its holder's true name and VID
// ([Certificate.Identity]), its names as NPKI writes them ([Name]), and what it is for ([Policy]: who issued
// it, to a person or a company, for every purpose or for some).
//
// # What a person proves
//
// [SignCMS] signs in each of the shapes that are in use, [VerifySignedData] verifies them strictly,
// [Anchors.VerifyChain] says whether the certificate behind a signature is trusted and of an accepted kind,
// and package revocation whether it still holds. [VID.Verify] proves that a resident registration number belongs to the
// certificate, given R, which travels in a [VIDMsg] or an EnvelopedData ([OpenEnvelope]). [UCPIDRequest] is
// the other way, by which the CA itself says who it is. [CheckResident] and its neighbours check numbers.
//
// # Rules
//
// No function opens a file or a connection, and none keeps what it was given. Passwords and numbers are
// byte slices that stay as they are, so that the caller can wipe them with clear; [PrivateKey.Wipe]
// wipes a key as well as Go allows. The time of judgement and, in what makes files, randomness are arguments.
//
// Input is DER, strictly: trailing bytes, indefinite or non-minimal lengths and doubled attributes are refused,
// and so is whatever is larger than [MaxFile] or asks for more than [MaxIterations] of work. Every error is an
// [*Error], whose [Code] errors.Is finds: a wrong password is ErrPassword, a damaged file ErrMalformed. Errors hold
// neither names nor numbers nor secrets.
//
// The package contains no trust anchor, never accepts a certificate because of its name, and never asks a
// network. It is made to be compiled to WebAssembly too, so that a private key can stay in its owner's browser.
//
// # Sources
//
// RFC 4269 (SEED), RFC 5794 (ARIA), RFC 8018 (PKCS #5), RFC 5208 (PKCS #8), RFC 7292 (PKCS #12), RFC 5652
// (CMS), RFC 5280, and the KCAC.TS specifications of KISA as far as certificates and programs show them.
package npki
