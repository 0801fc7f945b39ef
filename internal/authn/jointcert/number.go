package jointcert

import (
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/anyid/anyid/internal/authn"
	"github.com/anyid/anyid/internal/authn/certificate"
	"github.com/anyid/anyid/pkg/npki"
)

// vidHash is the hash of the VIDs that are taken. Certificates that still have one of SHA-1 have long
// expired.
const vidHash = crypto.SHA256

// numbered says that a number can be checked against the certificate.
func numbered(s *certificate.Signature) bool { return s.VID != nil && s.VID.Hash == vidHash }

// errNumber is one error for everything that can be wrong with a number or with the message that brings
// R: who tries numbers, or paddings, learns nothing else.
func errNumber() *authn.Error {
	return &authn.Error{Code: authn.NumberMismatch, Err: errors.New("jointcert: the number does not fit the certificate")}
}

// CheckNumber implements authn.NumberChecker.
func (a *Adapter) CheckNumber(ctx context.Context, e authn.Evidence, number authn.ResidentNumber) (authn.Evidence, error) {
	want, err := hex.DecodeString(e.VIDDigest)
	if !a.number || !e.Number || err != nil || len(want) != sha256.Size {
		return e, badRequest("no number is asked for")
	}
	resident, err := npki.CheckResident(number.Digits, a.now())
	if err != nil {
		return e, errNumber()
	}
	message, err := npki.OpenVIDMsg(a.recipientKey, number.Message)
	if err != nil {
		return e, errNumber()
	}
	defer message.Wipe()
	if len(message.IDN) != 0 && subtle.ConstantTimeCompare(message.IDN, number.Digits) != 1 {
		return e, errNumber()
	}
	vid, err := npki.ComputeVID(vidHash, number.Digits, message.R)
	if err != nil {
		return e, errNumber()
	}
	defer clear(vid.Value)
	if sum := sha256.Sum256(vid.Value); subtle.ConstantTimeCompare(sum[:], want) != 1 {
		return e, errNumber()
	}
	born := fmt.Sprintf("%04d-%02d-%02d", resident.Year, resident.Month, resident.Day)
	if e.Attributes.BirthDate != "" && e.Attributes.BirthDate != born { // the authority's word
		return e, errNumber()
	}
	if e.CI == "" {
		if a.resolver == nil {
			return e, badRequest("nobody gives the CI")
		}
		if e.CI, err = a.resolver.ci(ctx, number.Digits, e.Attributes.Name); err != nil {
			return e, err
		}
	}
	e.Attributes.BirthDate, e.Attributes.Gender, e.Attributes.Nationality = born, string(resident.Sex), "domestic"
	if resident.Foreigner {
		e.Attributes.Nationality = "foreign"
	}
	return e, nil
}
