package main

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/text/encoding/korean"

	"github.com/anyid/anyid/pkg/npki"
	"github.com/anyid/anyid/pkg/npki/npkitest"
)

// TestCertScripts runs the scripts about certificates, for which it lays out the files of a few people:
//
//	person/    a person of KFTC, 9001011234568, with signing and key management pair; password "password 1!"
//	company/   a company of KICA, 1234567891
//	cp949/     a person whose password is Korean, in CP949
//	old.der    expired; gpki.der, of the government; financial.der; novid.der
//	anchors/   roots and authorities
//	message.*  what the person signed, in DER and Base64 for URLs
func TestCertScripts(t *testing.T) {
	t.Parallel()
	files := certFiles(t)
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "cert"),
		Setup: func(e *testscript.Env) error {
			for name, data := range files {
				path := filepath.Join(e.WorkDir, name)
				if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
					return err
				}
				if err := os.WriteFile(path, data, 0o600); err != nil {
					return err
				}
			}
			return nil
		},
	})
}

func certFiles(t *testing.T) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	pki := npkitest.New(npkitest.Options{})
	enroll := func(organization string, a npkitest.Applicant) *npkitest.Holder {
		t.Helper()
		ca, err := pki.CA(organization, npkitest.RSA2048)
		must(err)
		h, err := ca.Enroll(a)
		must(err)
		return h
	}
	folder := func(name string, h *npkitest.Holder, password []byte) {
		t.Helper()
		inside, err := h.Files(password, npki.Encryption{})
		must(err)
		for file, data := range inside {
			files[name+"/"+file] = data
		}
	}
	citizen := npkitest.Applicant{Name: "홍길동", English: "HONG GILDONG", Number: "9001011234568", Policy: "1.2.410.200005.1.1.4"}
	person := enroll(npkitest.Yessign, citizen)
	folder("person", person, []byte("password 1!"))
	citizen.Encipherment = true
	folder("person", enroll(npkitest.Yessign, citizen), []byte("password 1!"))
	citizen.Encipherment = false
	folder("company", enroll(npkitest.KICA, npkitest.Applicant{Name: "(주)길동", Number: "1234567891", Policy: "1.2.410.200004.5.2.1.1"}), []byte("password 1!"))
	cp949, err := korean.EUCKR.NewEncoder().Bytes([]byte("비밀번호"))
	must(err)
	folder("cp949", person, cp949)

	citizen.Policy = "1.2.410.200005.1.1.1.10"
	files["financial.der"] = enroll(npkitest.Yessign, citizen).Certificate.Raw
	citizen.Policy, citizen.Number = "1.2.410.200004.5.4.1.103", ""
	files["novid.der"] = enroll(npkitest.CrossCert, citizen).Certificate.Raw
	ca, err := pki.CA(npkitest.Yessign, npkitest.RSA2048)
	must(err)
	old, err := ca.Sign(npkitest.Template{
		Subject: npki.Name{{{Type: "c", Value: "kr"}}, {{Type: "cn", Value: "홍길동"}}}, PublicKey: &person.Key.Key.(*rsa.PrivateKey).PublicKey,
		NotBefore: time.Now().AddDate(-2, 0, 0), NotAfter: time.Now().AddDate(-1, 0, 0), Policies: []string{"1.2.410.200005.1.1.1"},
	})
	must(err)
	files["old.der"] = old.Raw
	government, err := pki.CA(npkitest.Government, npkitest.RSA2048)
	must(err)
	official, err := government.Sign(npkitest.Template{
		Subject: npki.Name{{{Type: "c", Value: "kr"}}, {{Type: "cn", Value: "김공무"}}}, PublicKey: &person.Key.Key.(*rsa.PrivateKey).PublicKey, Policies: []string{"1.2.410.100001.2.2.1"},
	})
	must(err)
	files["gpki.der"] = official.Raw

	roots, authorities, err := pki.Certificates()
	must(err)
	var anchors []byte
	for _, list := range [][]*x509.Certificate{roots, authorities} {
		for _, c := range list {
			anchors = append(anchors, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
		}
	}
	files["anchors/all.pem"] = anchors
	message, err := person.Sign([]byte("anyid-sign;v=1"), npki.SignOptions{Bare: true})
	must(err)
	files["message.der"] = message
	quoting, err := person.Sign([]byte("my certificate: -----BEGIN CERTIFICATE-----"), npki.SignOptions{})
	must(err)
	files["quoting.der"] = quoting
	files["message.txt"] = []byte(base64.RawURLEncoding.EncodeToString(message) + "\n")
	return files
}
