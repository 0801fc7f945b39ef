package ca

import (
	"archive/zip"
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/anyid/anyid/pkg/npki"
	"github.com/anyid/anyid/pkg/npki/npkitest"
)

// enroll plays the program of a person who gets a certificate: it makes a key pair and R, has the certificate
// issued, and puts the three together.
func enroll(pki *npkitest.PKI, a *npkitest.Authority, issue func(npkitest.Enrolment) (*npki.Certificate, error)) (*npkitest.Holder, error) {
	key, err := pki.NewKey(a.Key.N.BitLen())
	if err != nil {
		return nil, fmt.Errorf("sim/ca: %w", err)
	}
	r := make([]byte, npki.RSize)
	rand.Read(r) // never fails
	certificate, err := issue(npkitest.Enrolment{PublicKey: &key.PublicKey, R: r})
	if err != nil {
		return nil, err
	}
	private, err := npki.NewPrivateKey(key, r)
	if err != nil {
		return nil, fmt.Errorf("sim/ca: %w", err)
	}
	return &npkitest.Holder{Authority: a, Certificate: certificate, Key: private}, nil
}

// Encipherment gives the holder of a signing certificate a second one, under the same name, that decrypts.
func Encipherment(pki *npkitest.PKI, h *npkitest.Holder) (*npkitest.Holder, error) {
	name, err := h.Certificate.SubjectName()
	if err != nil {
		return nil, fmt.Errorf("sim/ca: %w", err)
	}
	identity, err := h.Certificate.Identity()
	if err != nil {
		return nil, fmt.Errorf("sim/ca: %w", err)
	}
	policy, _ := h.Certificate.Policy()
	return enroll(pki, h.Authority, func(e npkitest.Enrolment) (*npki.Certificate, error) {
		return h.Authority.Sign(npkitest.Template{
			Subject: name, PublicKey: e.PublicKey, Identity: &npki.Identity{RealName: identity.RealName}, Policies: []string{policy.OID},
			KeyUsage:  x509.KeyUsageKeyEncipherment | x509.KeyUsageDataEncipherment,
			NotBefore: h.Certificate.NotBefore, NotAfter: h.Certificate.NotAfter,
		})
	})
}

// Folder is where a holder's files lie, with slashes: NPKI/yessign/USER/cn=…,c=kr.
func Folder(h *npkitest.Holder) (string, error) {
	folder, err := h.Folder()
	if err != nil {
		return "", fmt.Errorf("sim/ca: %w", err)
	}
	organization, name, _ := strings.Cut(folder, "/USER/")
	// A name that somebody typed must not lead out of its folder.
	return "NPKI/" + organization + "/USER/" + strings.NewReplacer("/", "_", `\`, "_").Replace(name), nil
}

// Files are the files of holders as a person's programs lay them down, by their paths: signCert.der and
// signPri.key, or kmCert.der and kmPri.key, in the Folder of each.
func Files(password []byte, e npki.Encryption, holders ...*npkitest.Holder) (map[string][]byte, error) {
	out := map[string][]byte{}
	for _, h := range holders {
		folder, err := Folder(h)
		if err != nil {
			return nil, err
		}
		files, err := h.Files(password, e)
		if err != nil {
			return nil, fmt.Errorf("sim/ca: %w", err)
		}
		for file, content := range files {
			out[folder+"/"+file] = content
		}
	}
	return out, nil
}

// PFX is one file with the certificates and keys of all holders, as 인증서 내보내기 writes it.
func PFX(password []byte, holders ...*npkitest.Holder) ([]byte, error) {
	var bundle npki.Bundle
	for _, h := range holders {
		bundle.Pairs = append(bundle.Pairs, npki.Pair{Certificate: h.Certificate, Key: h.Key})
	}
	out, err := bundle.MarshalPFX(npki.Encryption{}, password)
	if err != nil {
		return nil, fmt.Errorf("sim/ca: %w", err)
	}
	return out, nil
}

// archive packs files as a ZIP.
func archive(files map[string][]byte, now time.Time) ([]byte, error) {
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for _, path := range slices.Sorted(maps.Keys(files)) {
		f, err := w.CreateHeader(&zip.FileHeader{Name: path, Method: zip.Deflate, Modified: now})
		if err == nil {
			_, err = f.Write(files[path])
		}
		if err != nil {
			return nil, fmt.Errorf("sim/ca: archive: %w", err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("sim/ca: archive: %w", err)
	}
	return out.Bytes(), nil
}
