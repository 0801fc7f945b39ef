package npki_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/smallstep/pkcs7"

	"github.com/anyid/anyid/pkg/npki"
	"github.com/anyid/anyid/pkg/npki/internal/dertree"
	"github.com/anyid/anyid/pkg/npki/npkitest"
)

const login = "anyid-login;v=1;iss=https://login.example.kr;txn=1;nonce=q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA;iat=1795143600;aud=qnet"

// shapes are the SignedData that existing clients produce (npki reference of the Korean vendors), and the
// wish that takes each.
var shapes = []struct {
	name    string
	options npki.SignOptions
	want    npki.Want
}{
	{"ordinary", npki.SignOptions{}, npki.Want{Attributes: npki.Required}},
	{"K-SIGN, AnySign: no attributes, rsaEncryption", npki.SignOptions{NoAttributes: true, RSAEncryption: true}, npki.Want{Attributes: npki.Forbidden}},
	{"KOSCOM: attributes, rsaEncryption", npki.SignOptions{RSAEncryption: true}, npki.Want{Attributes: npki.Required}},
	{"WIZVERA: no NULL", npki.SignOptions{NoParameters: true}, npki.Want{}},
	{"yeskey: PSS", npki.SignOptions{PSS: true}, npki.Want{}},
	{"yeskey: bare, PSS", npki.SignOptions{PSS: true, Bare: true}, npki.Want{AllowBare: true}},
	{"yeskey: bare, detached", npki.SignOptions{Bare: true, Detached: true}, npki.Want{AllowBare: true, Detached: true}},
	{"detached", npki.SignOptions{Detached: true}, npki.Want{Detached: true, NonRepudiation: true}},
	{"detached, no attributes", npki.SignOptions{Detached: true, NoAttributes: true}, npki.Want{Detached: true}},
	{"SHA-384", npki.SignOptions{Hash: crypto.SHA384}, npki.Want{}},
	{"SHA-512, PSS", npki.SignOptions{Hash: crypto.SHA512, PSS: true}, npki.Want{}},
	{"after 2049", npki.SignOptions{Time: time.Date(2050, 1, 1, 0, 0, 0, 0, time.UTC)}, npki.Want{}},
}

func TestSignedDataShapes(t *testing.T) {
	t.Parallel()
	for _, generation := range []npkitest.Generation{npkitest.RSA2048, npkitest.RSA3072} {
		ca, err := shared().pki.CA(npkitest.Yessign, generation)
		if err != nil {
			t.Fatal(err)
		}
		person := enroll(t, ca, npkitest.Applicant{Name: "김하늘", Number: residentNumber, Policy: personGeneral})
		for _, shape := range shapes {
			message := sign(t, person, login, shape.options)
			want := shape.want
			want.Content = []byte(login)
			got, err := npki.VerifySignedData(message, want)
			if err != nil {
				t.Errorf("%s: %v", shape.name, err)
				continue
			}
			scheme := npki.PKCS1v15
			if shape.options.PSS {
				scheme = npki.PSS
			}
			if string(got.Content) != login || !got.Certificate.Equal(person.Certificate.Certificate) || got.Scheme != scheme ||
				got.HadAttributes == shape.options.NoAttributes || got.HadAttributes == got.SigningTime.IsZero() ||
				got.Hash != max(shape.options.Hash, crypto.SHA256) {
				t.Errorf("%s: got %+v", shape.name, got)
			}
		}
	}
}

// Each of the wishes is refused by a message that does not fit it.
func TestSignedDataOtherThanWanted(t *testing.T) {
	t.Parallel()
	w := shared()
	content := []byte(login)
	encipherment := enroll(t, w.yessign, npkitest.Applicant{Name: "홍길동", Policy: personGeneral, Encipherment: true})
	onlySigns, err := w.yessign.Sign(npkitest.Template{
		Subject: npki.Name{{{Type: "cn", Value: "x"}}}, PublicKey: &w.person.Key.Key.(*rsa.PrivateKey).PublicKey,
		Policies: []string{personGeneral}, KeyUsage: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	signsOnly := &npkitest.Holder{Authority: w.yessign, Certificate: onlySigns, Key: w.person.Key}
	for _, c := range []struct {
		name    string
		holder  *npkitest.Holder
		options npki.SignOptions
		want    npki.Want
		code    npki.Code
	}{
		{"other content", w.person, npki.SignOptions{}, npki.Want{Content: []byte(login + " ")}, npki.ErrContent},
		{"other nonce", w.person, npki.SignOptions{}, npki.Want{Content: bytes.Replace(content, []byte("q83"), []byte("Q83"), 1)}, npki.ErrContent},
		{"other content, detached", w.person, npki.SignOptions{Detached: true}, npki.Want{Content: []byte("x"), Detached: true}, npki.ErrSignature},
		{"other content, detached, no attributes", w.person, npki.SignOptions{Detached: true, NoAttributes: true}, npki.Want{Content: []byte("x"), Detached: true}, npki.ErrSignature},
		{"content missing", w.person, npki.SignOptions{Detached: true}, npki.Want{Content: content}, npki.ErrContent},
		{"content inside a detached one", w.person, npki.SignOptions{}, npki.Want{Content: content, Detached: true}, npki.ErrContent},
		{"bare", w.person, npki.SignOptions{Bare: true}, npki.Want{Content: content}, npki.ErrUnsupported},
		{"no attributes", w.person, npki.SignOptions{NoAttributes: true}, npki.Want{Content: content, Attributes: npki.Required}, npki.ErrUnsupported},
		{"attributes", w.person, npki.SignOptions{}, npki.Want{Content: content, Attributes: npki.Forbidden}, npki.ErrUnsupported},
		{"encryption certificate", encipherment, npki.SignOptions{}, npki.Want{Content: content}, npki.ErrUsage},
		{"no nonRepudiation", signsOnly, npki.SignOptions{}, npki.Want{Content: content, NonRepudiation: true}, npki.ErrUsage},
		{"too large", w.person, npki.SignOptions{}, npki.Want{Content: content, MaxSize: 1000}, npki.ErrTooLarge},
		{"nothing wanted", w.person, npki.SignOptions{}, npki.Want{}, npki.ErrInput},
		{"two things wanted", w.person, npki.SignOptions{}, npki.Want{Content: content, AnyContent: true}, npki.ErrInput},
		{"anything, detached", w.person, npki.SignOptions{}, npki.Want{Detached: true, AnyContent: true}, npki.ErrInput},
	} {
		_, err := npki.VerifySignedData(sign(t, c.holder, login, c.options), c.want)
		if err == nil {
			t.Errorf("%s: accepted", c.name)
			continue
		}
		wantCode(t, err, c.code)
	}
	if _, err := npki.VerifySignedData(sign(t, signsOnly, login, npki.SignOptions{}), npki.Want{Content: content}); err != nil {
		t.Errorf("without nonRepudiation: %v", err)
	}
}

func TestSignCMSRefuses(t *testing.T) {
	t.Parallel()
	w := shared()
	other := enroll(t, w.yessign, npkitest.Applicant{Name: "김하늘", Policy: personGeneral})
	for other.Key.Key.(*rsa.PrivateKey).Equal(w.person.Key.Key) { // holders share the public test keys
		other = enroll(t, w.yessign, npkitest.Applicant{Name: "김하늘", Policy: personGeneral})
	}
	certificate := w.person.Certificate.Raw
	for _, c := range []struct {
		name    string
		key     crypto.Signer
		cert    []byte
		content string
		options npki.SignOptions
		code    npki.Code
	}{
		{"another key", other.Key.Key, certificate, "x", npki.SignOptions{}, npki.ErrMismatch},
		{"SHA-1", w.person.Key.Key, certificate, "x", npki.SignOptions{Hash: crypto.SHA1}, npki.ErrInput},
		{"PSS as rsaEncryption", w.person.Key.Key, certificate, "x", npki.SignOptions{PSS: true, RSAEncryption: true}, npki.ErrInput},
		{"broken certificate", w.person.Key.Key, certificate[:100], "x", npki.SignOptions{}, npki.ErrMalformed},
		{"no certificate", w.person.Key.Key, []byte{0x30, 0}, "x", npki.SignOptions{}, npki.ErrMalformed},
		{"content that reads as attributes", w.person.Key.Key, certificate, "1 won", npki.SignOptions{NoAttributes: true}, npki.ErrInput},
	} {
		_, err := npki.SignCMS(c.key, c.cert, []byte(c.content), c.options)
		if err == nil {
			t.Errorf("%s: signed", c.name)
			continue
		}
		wantCode(t, err, c.code)
	}
}

// OpenSSL, which shares no code with this package, accepts what we sign.
func TestOpenSSLAcceptsOurs(t *testing.T) {
	t.Parallel()
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Fatal("openssl is missing; install the Debian package openssl (.ci/packages does it)")
	}
	w := shared()
	dir := t.TempDir()
	write := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	var anchors []byte
	for _, c := range [][]byte{w.yessign.Certificate.Raw, w.yessign.Root().Certificate.Raw} {
		anchors = append(anchors, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c})...)
	}
	roots := write("roots.pem", anchors)
	content := write("content", []byte(login))
	for i, shape := range shapes {
		if shape.options.Bare { // OpenSSL wants the ContentInfo
			continue
		}
		args := []string{
			"cms", "-verify", "-binary", "-inform", "DER", "-in", write("message"+string(rune('a'+i)), sign(t, w.person, login, shape.options)),
			"-CAfile", roots, "-purpose", "any", "-policy_check", "-policy", personGeneral, "-attime", "1795143600",
		}
		if shape.options.Detached {
			args = append(args, "-content", content)
		}
		cmd := exec.Command(openssl, args...)
		var out, problems bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &problems
		if err := cmd.Run(); err != nil {
			t.Errorf("%s: %v\n%s", shape.name, err, &problems)
		} else if out.String() != login {
			t.Errorf("%s: content %q", shape.name, &out)
		}
	}
}

// smallstep/pkcs7 agrees about the shapes that it knows, in both directions.
func TestCrossCheck(t *testing.T) {
	t.Parallel()
	w := shared()
	for _, shape := range shapes {
		if shape.options.Bare || shape.options.PSS || !shape.options.Time.IsZero() { // unknown to it, or outside of the validity
			continue
		}
		p7, err := pkcs7.Parse(sign(t, w.person, login, shape.options))
		if err != nil {
			t.Errorf("%s: %v", shape.name, err)
			continue
		}
		if shape.options.Detached {
			p7.Content = []byte(login)
		}
		if err := p7.Verify(); err != nil || string(p7.Content) != login {
			t.Errorf("%s: %v, %q", shape.name, err, p7.Content)
		}
	}
	data, err := pkcs7.NewSignedData([]byte(login))
	if err != nil {
		t.Fatal(err)
	}
	data.SetDigestAlgorithm(pkcs7.OIDDigestAlgorithmSHA256)
	if err := data.AddSigner(w.person.Certificate.Certificate, w.person.Key.Key, pkcs7.SignerInfoConfig{}); err != nil {
		t.Fatal(err)
	}
	message, err := data.Finish()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := npki.VerifySignedData(message, npki.Want{Content: []byte(login)}); err != nil {
		t.Errorf("theirs: %v", err)
	}
}

func TestVerifySignature(t *testing.T) {
	t.Parallel()
	w := shared()
	sum := sha256.Sum256([]byte(login))
	key := w.person.Key.Key.(*rsa.PrivateKey)
	pkcs1, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	pss, err := rsa.SignPSS(rand.Reader, key, crypto.SHA256, sum[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
	if err != nil {
		t.Fatal(err)
	}
	c := w.person.Certificate.Certificate
	if err := npki.VerifySignature(c, npki.PKCS1v15, []byte(login), pkcs1); err != nil {
		t.Error(err)
	}
	if err := npki.VerifySignature(c, npki.PSS, []byte(login), pss); err != nil {
		t.Error(err)
	}
	wantCode(t, npki.VerifySignature(c, npki.PSS, []byte(login), pkcs1), npki.ErrSignature)
	wantCode(t, npki.VerifySignature(c, npki.PKCS1v15, []byte("x"), pkcs1), npki.ErrSignature)
	wantCode(t, npki.VerifySignature(c, "none", []byte(login), pkcs1), npki.ErrUnsupported)
	wantCode(t, npki.VerifySignature(w.yessign.Certificate, npki.PKCS1v15, []byte(login), pkcs1), npki.ErrUsage)
}

func TestDecodeMessage(t *testing.T) {
	t.Parallel()
	message := sign(t, shared().person, login, npki.SignOptions{})
	for len(message)%3 == 0 || !strings.ContainsAny(base64.StdEncoding.EncodeToString(message), "+") {
		message = append(message, 0xFB)
	}
	std := base64.StdEncoding.EncodeToString(message)
	for name, text := range map[string]string{
		"hex": hex.EncodeToString(message), "HEX": strings.ToUpper(hex.EncodeToString(message)), "Base64": std, "unpadded": strings.TrimRight(std, "="),
		"URL": base64.RawURLEncoding.EncodeToString(message), "URL, padded": base64.URLEncoding.EncodeToString(message), "space around": " " + std + "\r\n",
		"lines": std[:76] + "\r\n" + std[76:], "PKCS7": string(pem.EncodeToMemory(&pem.Block{Type: "PKCS7", Bytes: message})),
		"CMS": string(pem.EncodeToMemory(&pem.Block{Type: "CMS", Bytes: message})),
	} {
		got, err := npki.DecodeMessage(text)
		if err != nil || !bytes.Equal(got, message) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, text := range map[string]string{
		"empty": "", "both alphabets": "-" + std, "padding inside": "MII=" + std, "three pads": "MIIA===", "letters": "한글",
		"other PEM": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: message})), "PEM cut off": "-----BEGIN PKCS7-----\nMII", "unclean end": "MIIB/",
	} {
		_, err := npki.DecodeMessage(text)
		if err == nil {
			t.Errorf("%s: accepted", name)
			continue
		}
		wantCode(t, err, npki.ErrMalformed)
	}
	_, err := npki.DecodeMessage(strings.Repeat("0", 2*npki.MaxFile+2))
	wantCode(t, err, npki.ErrTooLarge)
}

// Every change of one piece of a message is refused, or changes nothing about what was signed and by whom.
func TestCMSMutations(t *testing.T) {
	t.Parallel()
	w := shared()
	for _, shape := range shapes[:9] {
		t.Run(shape.name, func(t *testing.T) {
			t.Parallel()
			message := sign(t, w.person, login, shape.options)
			tree, err := dertree.Parse(message)
			if err != nil {
				t.Fatal(err)
			}
			want := shape.want
			want.Content = []byte(login)
			var accepted []string
			refused := 0
			try := func(name string, path []int, change func(root *dertree.Node)) {
				root := tree.Clone()
				change(root)
				mutant := root.Bytes()
				if bytes.Equal(mutant, message) {
					return
				}
				signed, err := npki.VerifySignedData(mutant, want)
				if err != nil {
					if _, ok := errorsAs(err); !ok {
						t.Errorf("%s %v: untyped error %v", name, path, err)
					}
					refused++
					return
				}
				if string(signed.Content) != login || !bytes.Equal(signed.Certificate.RawTBSCertificate, w.person.Certificate.RawTBSCertificate) {
					if _, err := w.anchors.VerifyChain(signed.Certificate, loginChain); err == nil {
						t.Errorf("%s %v: another certificate or content accepted", name, path)
					}
				}
				accepted = append(accepted, name)
			}
			inCertificate := certificatePath(tree, w.person.Certificate.Raw)
			tree.Walk(func(path []int, node *dertree.Node) {
				if len(path) > len(inCertificate) && slices.Equal(path[:len(inCertificate)], inCertificate) {
					return // TestCertificateMutations
				}
				try("drop", path, func(root *dertree.Node) { root.Replace(path) })
				try("duplicate", path, func(root *dertree.Node) { root.Replace(path, node, node) })
				try("retype", path, func(root *dertree.Node) { root.At(path...).Tag ^= 0x01 })
				try("reclass", path, func(root *dertree.Node) { root.At(path...).Tag ^= 0x80 })
				try("insert", path, func(root *dertree.Node) { root.Replace(path, &dertree.Node{Tag: 5}, node) })
				if node.Children == nil {
					for _, bit := range []int{0, len(node.Body)*8 - 1} {
						try("flip", path, func(root *dertree.Node) {
							if body := root.At(path...).Body; len(body) > 0 {
								body[bit/8] ^= 0x80 >> (bit % 8)
							}
						})
					}
					try("empty", path, func(root *dertree.Node) { root.At(path...).Body = nil })
				}
			})
			if refused < 150 {
				t.Errorf("only %d mutants refused", refused)
			}
			// What may change: version 3 for 1, NULL or nothing behind an algorithm.
			if len(accepted) > 12 {
				t.Errorf("%d mutants accepted: %v", len(accepted), accepted)
			}
		})
	}
}

// certificatePath is where the certificate lies in a message.
func certificatePath(tree *dertree.Node, certificate []byte) []int {
	var found []int
	tree.Walk(func(path []int, node *dertree.Node) {
		if found == nil && bytes.Equal(node.Bytes(), certificate) {
			found = path
		}
	})
	return found
}

// Algorithms and structures that a signer could swap in, with a signature that is right for them.
func TestCMSAlgorithmSwaps(t *testing.T) {
	t.Parallel()
	w := shared()
	tree, err := dertree.Parse(sign(t, w.person, login, npki.SignOptions{}))
	if err != nil {
		t.Fatal(err)
	}
	// ContentInfo: OID, [0]{SignedData: version, digests, content, certificates, {SignerInfo: version, sid,
	// digest, attributes, algorithm, signature}}
	digests, signerInfos := []int{1, 0, 1}, []int{1, 0, 4}
	digest, algorithm := []int{1, 0, 4, 0, 2}, []int{1, 0, 4, 0, 4}
	sha1, md5 := dertree.OID(1, 3, 14, 3, 2, 26), dertree.OID(1, 2, 840, 113549, 2, 5)
	ecdsa := dertree.OID(1, 2, 840, 10045, 4, 3, 2)
	sha512RSA := dertree.OID(1, 2, 840, 113549, 1, 1, 13)
	for _, c := range []struct {
		name   string
		change func(root *dertree.Node)
		code   npki.Code
	}{
		{"SHA-1", func(r *dertree.Node) { r.At(digest...).Children[0] = sha1; r.At(digests...).At(0).Children[0] = sha1 }, npki.ErrUnsupported},
		{"MD5", func(r *dertree.Node) { r.At(digest...).Children[0] = md5; r.At(digests...).At(0).Children[0] = md5 }, npki.ErrUnsupported},
		{"SHA-1 listed, SHA-256 used", func(r *dertree.Node) { r.At(digests...).At(0).Children[0] = sha1 }, npki.ErrMalformed},
		{"ECDSA", func(r *dertree.Node) { r.At(algorithm...).Children[0] = ecdsa }, npki.ErrUnsupported},
		{"another hash in the signature", func(r *dertree.Node) { r.At(algorithm...).Children[0] = sha512RSA }, npki.ErrUnsupported},
		{"PSS by default parameters", func(r *dertree.Node) {
			r.At(algorithm...).Children = []*dertree.Node{dertree.OID(1, 2, 840, 113549, 1, 1, 10), {Tag: 0x30}}
		}, npki.ErrUnsupported},
		{"envelopedData", func(r *dertree.Node) { r.Children[0] = dertree.OID(1, 2, 840, 113549, 1, 7, 3) }, npki.ErrUnsupported},
		{"content type", func(r *dertree.Node) { r.At(1, 0, 2).Children[0] = dertree.OID(1, 2, 840, 113549, 1, 9, 16, 1, 4) }, npki.ErrUnsupported},
		{"two signers", func(r *dertree.Node) {
			s := r.At(signerInfos...)
			s.Children = append(s.Children, s.Children[0])
		}, npki.ErrUnsupported},
		{"no signer", func(r *dertree.Node) { r.At(signerInfos...).Children = nil }, npki.ErrMissing},
		{"no certificate", func(r *dertree.Node) { r.At(1, 0).Children = slices.Delete(r.At(1, 0).Children, 3, 4) }, npki.ErrMissing},
		{"certificate twice", func(r *dertree.Node) {
			s := r.At(1, 0, 3)
			s.Children = append(s.Children, s.Children[0])
		}, npki.ErrMalformed},
		{"version 2", func(r *dertree.Node) { r.At(1, 0, 0).Body = []byte{2} }, npki.ErrUnsupported},
		{"attribute twice", func(r *dertree.Node) {
			a := r.At(1, 0, 4, 0, 3)
			a.Children = append(a.Children, a.Children[0])
		}, npki.ErrMalformed},
		{"unsigned attribute twice", func(r *dertree.Node) {
			s := r.At(1, 0, 4, 0)
			one := s.At(3, 0)
			s.Children = append(s.Children, &dertree.Node{Tag: 0xA1, Children: []*dertree.Node{one, one}})
		}, npki.ErrMalformed},
	} {
		root := tree.Clone()
		c.change(root)
		_, err := npki.VerifySignedData(root.Bytes(), npki.Want{Content: []byte(login)})
		if err == nil {
			t.Errorf("%s: accepted", c.name)
			continue
		}
		if e, ok := errorsAs(err); !ok || e.Code != c.code {
			t.Errorf("%s: %v, want %q", c.name, err, c.code)
		}
	}
}
