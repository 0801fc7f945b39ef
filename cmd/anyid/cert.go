package main

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"
	"golang.org/x/text/encoding/korean"

	"github.com/anyid/anyid/pkg/npki"
)

// certCommand looks at the certificates of people. It reads no configuration and asks no network.
func certCommand() *cobra.Command {
	cmd := group("cert", "Joint and financial certificates: look at files, convert them, check them",
		certInspectCommand(), certVerifyCommand(), certConvertCommand(),
		group("vid", "The virtual identifier that ties a certificate to a number", vidComputeCommand(), vidVerifyCommand()))
	cmd.Long = `Joint certificates (공동인증서) and financial certificates (금융인증서): look at files, convert them, check them.

Passwords and numbers are never arguments. They come from a file, from a variable, or are asked for without
being shown. Files are folders of NPKI, single files of them, .p12 and .pfx, PEM, and signed messages (CMS).`
	cmd.PersistentFlags().String("lang", "ko", "language of the results: ko or en")
	return cmd
}

// A tongue is the language in which the certificate commands answer.
type tongue bool

const (
	inKorean  tongue = false
	inEnglish tongue = true
)

func (t tongue) say(ko, en string) string {
	if t == inEnglish {
		return en
	}
	return ko
}

func tongueOf(cmd *cobra.Command) (tongue, error) {
	switch lang, err := cmd.Flags().GetString("lang"); {
	case err != nil:
		return inKorean, err
	case lang == "ko":
		return inKorean, nil
	case lang == "en":
		return inEnglish, nil
	default:
		return inKorean, fmt.Errorf("--lang is %q; it is ko or en", lang)
	}
}

// spoken runs a command in a language, and explains what goes wrong in it.
func spoken(run func(cmd *cobra.Command, args []string, t tongue) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		t, err := tongueOf(cmd)
		if err != nil {
			return err
		}
		err = run(cmd, args, t)
		if e, ok := errors.AsType[*npki.Error](err); ok {
			if words := t.explain(e.Code); words != "" {
				return fmt.Errorf("%s (%w)", words, err)
			}
		}
		return err
	}
}

// explain says in a sentence what a code means to the person who holds the file.
func (t tongue) explain(code npki.Code) string {
	switch code {
	case npki.ErrPassword:
		return t.say("비밀번호가 다릅니다", "the password is wrong")
	case npki.ErrMalformed:
		return t.say("파일이 손상되었거나 형식이 다릅니다", "the file is damaged, or of another kind")
	case npki.ErrTooLarge:
		return t.say("파일이 너무 크거나 지나친 계산을 요구합니다", "the file is too large, or asks for too much work")
	case npki.ErrUnsupported:
		return t.say("지원하지 않는 방식입니다", "the file uses something that is not supported")
	case npki.ErrMismatch:
		return t.say("서로 맞지 않습니다", "they do not belong together")
	case npki.ErrMissing:
		return t.say("필요한 것이 들어 있지 않습니다", "what is needed is not in there")
	case npki.ErrExpired:
		return t.say("유효기간이 지났습니다", "the certificate has expired")
	case npki.ErrNotYetValid:
		return t.say("유효기간이 시작되지 않았습니다", "the certificate is not valid yet")
	case npki.ErrPolicy:
		return t.say("받지 않는 종류의 인증서입니다", "certificates of this kind are not accepted")
	case npki.ErrUntrusted:
		return t.say("신뢰하는 인증기관이 발급하지 않았습니다", "no trusted authority issued it")
	case npki.ErrUsage:
		return t.say("이 용도로 쓸 수 없는 인증서입니다", "the certificate is not for this use")
	case npki.ErrTestRoot:
		return t.say("시험용 최상위인증기관입니다", "this is a root for tests")
	case npki.ErrSignature:
		return t.say("서명이 맞지 않습니다", "the signature does not hold")
	}
	return ""
}

// A secret is something that must not be an argument.
type secret struct {
	flag, variable string
	ko, en         string // what it is
}

var (
	filePassword = secret{"password-file", "NPKI_PASSWORD", "비밀번호", "Password"}
	newPassword  = secret{"new-password-file", "NPKI_NEW_PASSWORD", "새 비밀번호", "New password"}
	number       = secret{"number-file", "NPKI_NUMBER", "주민등록번호 또는 사업자등록번호", "Registration number"}
)

func (s secret) addFlag(cmd *cobra.Command) {
	cmd.Flags().String(s.flag, "", fmt.Sprintf("file with the %s; else %s, or it is asked for", strings.ToLower(s.en), s.variable))
}

// given reads the secret from its file or variable; nil when there is neither.
func (s secret) given(cmd *cobra.Command) ([]byte, error) {
	path, err := cmd.Flags().GetString(s.flag)
	if err != nil {
		return nil, err
	}
	if path != "" {
		text, err := readLimited(path)
		return bytes.TrimRight(text, "\r\n"), err
	}
	if text, ok := os.LookupEnv(s.variable); ok {
		return []byte(text), nil
	}
	return nil, nil
}

// read reads the secret, asking for it at the terminal when it was not given.
func (s secret) read(cmd *cobra.Command, t tongue) ([]byte, error) {
	if text, err := s.given(cmd); text != nil || err != nil {
		return text, err
	}
	terminal := int(os.Stdin.Fd())
	if !term.IsTerminal(terminal) {
		return nil, fmt.Errorf("%s: %s", t.say(s.ko, s.en), t.say(
			"--"+s.flag+" 또는 "+s.variable+"(으)로 주거나 터미널에서 실행하십시오",
			"give it by --"+s.flag+" or "+s.variable+", or run at a terminal"))
	}
	cmd.PrintErr(t.say(s.ko, s.en) + ": ")
	text, err := term.ReadPassword(terminal)
	cmd.PrintErrln()
	return text, err
}

// readLimited reads a file of at most npki.MaxFile bytes.
func readLimited(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, npki.MaxFile+1))
	if err != nil {
		return nil, err
	}
	if len(text) > npki.MaxFile {
		return nil, &npki.Error{Code: npki.ErrTooLarge, What: path}
	}
	return text, nil
}

// A form is the kind of a file.
type form int

const (
	unknownForm form = iota
	certificateForm
	crlForm
	encryptedKeyForm
	clearKeyForm
	pfxForm
	signedForm
	envelopeForm
	pemForm
)

// formOf tells the kind of a file by how it begins; whether it is whole is for its reader to say.
func formOf(data []byte) form {
	var outer, first, second asn1.RawValue
	rest, err := asn1.Unmarshal(data, &outer)
	if (err != nil || len(rest) != 0) && bytes.Contains(data, []byte("-----BEGIN ")) { // and not in a text that was signed
		return pemForm
	}
	if err != nil || outer.Tag != asn1.TagSequence {
		return unknownForm
	}
	rest, err = asn1.Unmarshal(outer.Bytes, &first)
	if err != nil {
		return unknownForm
	}
	if _, err := asn1.Unmarshal(rest, &second); err != nil {
		return unknownForm
	}
	switch {
	case first.Tag == asn1.TagInteger && bytes.Equal(first.Bytes, []byte{3}) && second.Tag == asn1.TagSequence:
		return pfxForm
	case first.Tag == asn1.TagInteger && second.Tag == asn1.TagSet:
		return signedForm // without the ContentInfo around it
	case first.Tag == asn1.TagInteger:
		return clearKeyForm
	case first.Tag == asn1.TagOID && bytes.Equal(first.Bytes, []byte{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 3}):
		return envelopeForm
	case first.Tag == asn1.TagOID:
		return signedForm
	case first.Tag == asn1.TagSequence && second.Tag == asn1.TagOctetString:
		return encryptedKeyForm
	}
	if _, err := x509.ParseRevocationList(data); err == nil {
		return crlForm
	}
	return certificateForm
}

// filesIn lists the files of interest in a folder, or the file itself.
func filesIn(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil || !info.IsDir() {
		return []string{path}, err
	}
	var list []string
	err = filepath.WalkDir(path, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		switch strings.ToLower(filepath.Ext(path)) {
		case ".der", ".cer", ".crt", ".key", ".p12", ".pfx", ".pem", ".p7b", ".p7s", ".crl":
			list = append(list, path)
		}
		return nil
	})
	if err == nil && len(list) == 0 {
		err = fmt.Errorf("%s: no certificate files", path)
	}
	return list, err
}

// openFiles reads certificates and keys from files and folders, and puts together what belongs together. It
// asks for a password at most once, and returns the bytes that opened the files, for the caller to wipe.
func openFiles(cmd *cobra.Command, paths []string, t tongue) (_ *npki.Bundle, opened []byte, err error) {
	whole := new(npki.Bundle)
	var certificates []*npki.Certificate
	var keys []*npki.PrivateKey
	var password []byte
	defer func() {
		if err != nil {
			whole.Wipe()
		}
		if err != nil || !bytes.Equal(password, opened) {
			clear(password)
		}
	}()
	take := func(b *npki.Bundle) {
		for _, p := range b.Pairs {
			certificates, keys = append(certificates, p.Certificate), append(keys, p.Key)
		}
		certificates, keys = append(certificates, b.Others...), append(keys, b.Keys...)
		whole = npki.NewBundle(certificates, keys)
	}
	for _, path := range paths {
		files, err := filesIn(path)
		if err != nil {
			return nil, nil, err
		}
		for _, file := range files {
			data, err := readLimited(file)
			if err != nil {
				return nil, nil, err
			}
			kind := formOf(data)
			locked := kind == encryptedKeyForm || kind == pfxForm || kind == pemForm && bytes.Contains(data, []byte("ENCRYPTED"))
			if locked && password == nil {
				if password, err = filePassword.read(cmd, t); err != nil {
					return nil, nil, err
				}
				opened = password
			}
			b, used, err := openFile(kind, data, password)
			if err != nil {
				return nil, nil, fmt.Errorf("%s: %w", file, err)
			}
			if locked {
				opened = used
			}
			take(b)
		}
	}
	return whole, opened, nil
}

// openFile reads one file; Korean letters of a password are tried as UTF-8 and as CP949.
func openFile(kind form, data, password []byte) (*npki.Bundle, []byte, error) {
	b, err := parseFile(kind, data, password)
	if !errors.Is(err, npki.ErrPassword) || kind == pfxForm {
		return b, password, err
	}
	other, failed := korean.EUCKR.NewEncoder().Bytes(password)
	if failed != nil || bytes.Equal(other, password) {
		return b, password, err
	}
	b, err = parseFile(kind, data, other)
	return b, other, err
}

func parseFile(kind form, data, password []byte) (*npki.Bundle, error) {
	switch kind {
	case pemForm:
		return npki.ParsePEM(data, password)
	case pfxForm:
		return npki.ParsePFX(data, password)
	case encryptedKeyForm:
		k, err := npki.ParsePrivateKey(data, password)
		if err != nil {
			return nil, err
		}
		return npki.NewBundle(nil, []*npki.PrivateKey{k}), nil
	case clearKeyForm:
		k, err := npki.ParsePKCS8(data)
		if err != nil {
			return nil, err
		}
		return npki.NewBundle(nil, []*npki.PrivateKey{k}), nil
	case certificateForm:
		c, err := npki.ParseCertificate(data)
		if err != nil {
			return nil, err
		}
		return npki.NewBundle([]*npki.Certificate{c}, nil), nil
	}
	return nil, &npki.Error{Code: npki.ErrUnsupported, What: "neither certificate nor key"}
}

func certVerifyCommand() *cobra.Command {
	var anchors, policies []string
	var use, at string
	var tests bool
	cmd := &cobra.Command{
		Use:   "verify --anchors FILE CERTIFICATE",
		Short: "Say whether a site would take a certificate: chain, kind and validity",
		Long: `Say whether a site would take a certificate: issued under the given anchors, of an accepted kind, and valid.

Anchors are certificates of roots and of the authorities below them, in DER or PEM; who issued itself is a
root. Whether the certificate was revoked is not asked, for that takes a network.`,
		Args: cobra.ExactArgs(1),
		RunE: spoken(func(cmd *cobra.Command, args []string, t tongue) error {
			c, err := certificateIn(args[0])
			if err != nil {
				return err
			}
			trusted, err := readAnchors(anchors, tests)
			if err != nil {
				return err
			}
			options := npki.ChainOptions{Policies: policies}
			if options.Policies, err = acceptedPolicies(policies, use); err != nil {
				return err
			}
			if at != "" {
				if options.Time, err = time.Parse(time.RFC3339, at); err != nil {
					return fmt.Errorf("--at: %w", err)
				}
			}
			chain, err := trusted.VerifyChain(c, options)
			if err != nil {
				return err
			}
			cmd.Println(t.say("받을 수 있는 인증서입니다", "the certificate is acceptable"))
			return table(cmd.OutOrStdout(),
				[]string{"  " + t.say("종류", "kind"), t.kind(chain.Policy)},
				[]string{"  " + t.say("발급기관", "issued by"), nameText(chain.CA.RawSubject)},
				[]string{"  " + t.say("최상위인증기관", "root"), nameText(chain.Root.RawSubject)},
				[]string{"  " + t.say("폐지 여부", "revocation"), t.say("확인하지 않았습니다", "not asked")})
		}),
	}
	cmd.Flags().StringSliceVar(&anchors, "anchors", nil, "files with trusted roots and authorities")
	cmd.Flags().StringSliceVar(&policies, "policy", nil, "accepted certificate policies; else those of --use")
	cmd.Flags().StringVar(&use, "use", "joint", "accept what sites accept by default: joint (공동인증서 로그인) or financial (금융인증서 로그인)")
	cmd.Flags().StringVar(&at, "at", "", "judge at this time (RFC 3339) in place of now")
	cmd.Flags().BoolVar(&tests, "test-roots", false, "take roots for tests too")
	_ = cmd.MarkFlagRequired("anchors")
	return cmd
}

// acceptedPolicies are those given, or the defaults for a use.
func acceptedPolicies(given []string, use string) ([]string, error) {
	if use != "joint" && use != "financial" {
		return nil, fmt.Errorf("--use is %q; it is joint or financial", use)
	}
	if len(given) > 0 {
		return given, nil
	}
	var list []string
	for _, p := range npki.Policies() {
		if use == "joint" && p.Joint || use == "financial" && p.Cloud {
			list = append(list, p.OID)
		}
	}
	return list, nil
}

// certificateIn finds the one certificate for signing in a file or folder, without a password.
func certificateIn(path string) (*npki.Certificate, error) {
	files, err := filesIn(path)
	if err != nil {
		return nil, err
	}
	var found []*npki.Certificate
	for _, file := range files {
		list, err := certificatesOf(file)
		if err != nil {
			return nil, err
		}
		found = append(found, list...)
	}
	if len(files) > 1 { // a folder: its key management certificate is not meant
		found = slices.DeleteFunc(found, func(c *npki.Certificate) bool { return !c.Signs() })
	}
	if len(found) != 1 {
		return nil, fmt.Errorf("%s: %d certificates; name one", path, len(found))
	}
	return found[0], nil
}

// certificatesOf reads the certificates of a file, and passes over keys.
func certificatesOf(file string) ([]*npki.Certificate, error) {
	data, err := readLimited(file)
	if err != nil {
		return nil, err
	}
	var list []*npki.Certificate
	add := func(der []byte) error {
		c, err := npki.ParseCertificate(der)
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		list = append(list, c)
		return nil
	}
	switch formOf(data) {
	case certificateForm:
		return list, add(data)
	case pemForm:
		for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
			if block.Type == "CERTIFICATE" {
				if err := add(block.Bytes); err != nil {
					return nil, err
				}
			}
		}
		return list, nil
	case encryptedKeyForm, clearKeyForm, crlForm:
		return nil, nil
	}
	return nil, fmt.Errorf("%s: %w", file, &npki.Error{Code: npki.ErrUnsupported, What: "no certificate in clear"})
}

func readAnchors(files []string, tests bool) (*npki.Anchors, error) {
	var roots, subordinates []*x509.Certificate
	for _, path := range files {
		inside, err := filesIn(path)
		if err != nil {
			return nil, err
		}
		for _, file := range inside {
			list, err := certificatesOf(file)
			if err != nil {
				return nil, err
			}
			for _, c := range list {
				if bytes.Equal(c.RawIssuer, c.RawSubject) {
					roots = append(roots, c.Certificate)
				} else {
					subordinates = append(subordinates, c.Certificate)
				}
			}
		}
	}
	if tests {
		return npki.NewTestAnchors(roots, subordinates)
	}
	return npki.NewAnchors(roots, subordinates)
}

// encryptions are the choices of --encryption.
var encryptions = map[string]npki.Encryption{
	"default":    {},
	"seed":       {Scheme: npki.SchemeSEED},
	"seed-old":   {Scheme: npki.SchemeSEEDOld},
	"pbes2-seed": {Scheme: npki.SchemePBES2, Cipher: npki.SEED, Hash: crypto.SHA256, Iterations: 2048},
	"aria":       {Scheme: npki.SchemePBES2, Cipher: npki.ARIA256},
	"aes":        {Scheme: npki.SchemePBES2, Cipher: npki.AES256},
	"3des":       {Scheme: npki.SchemePKCS12},
}

func certConvertCommand() *cobra.Command {
	var to, out, encryption string
	cmd := &cobra.Command{
		Use:   "convert --to npki|p12|pem --out PATH FILE...",
		Short: "Write certificate and key in another form, or under another password",
		Long: `Write certificate and key in another form, or under another password.

The files are a folder with signCert.der and signPri.key, these two, a .p12, or PEM. A new folder (npki) or
file (p12, pem) is written; nothing is overwritten. R, the random number beside the key, is kept.`,
		Args: cobra.MinimumNArgs(1),
		RunE: spoken(func(cmd *cobra.Command, args []string, t tongue) error {
			e, ok := encryptions[encryption]
			if !ok {
				return fmt.Errorf("--encryption is %q", encryption)
			}
			b, opened, err := openFiles(cmd, args, t)
			if err != nil {
				return err
			}
			defer b.Wipe()
			defer clear(opened)
			if len(b.Pairs) == 0 || len(b.Keys) > 0 {
				return &npki.Error{Code: npki.ErrMissing, What: "certificate and key of one another"}
			}
			password, err := newPassword.given(cmd)
			if err != nil {
				return err
			}
			if password == nil {
				password = opened
			}
			if password == nil { // the key was in clear
				if password, err = newPassword.read(cmd, t); err != nil {
					return err
				}
			}
			files, err := converted(b, to, e, password)
			if err != nil {
				return err
			}
			return writeConverted(cmd, out, to == "npki", files)
		}),
	}
	cmd.Flags().StringVar(&to, "to", "", "npki, p12 or pem")
	cmd.Flags().StringVar(&out, "out", "", "the folder or file to write")
	cmd.Flags().StringVar(&encryption, "encryption", "default", "default (what the old programs read), seed, seed-old, pbes2-seed, aria, aes or 3des")
	filePassword.addFlag(cmd)
	newPassword.addFlag(cmd)
	_ = cmd.MarkFlagRequired("to")
	_ = cmd.MarkFlagRequired("out")
	return cmd
}

// converted gives the files to write by name; a single file has the name "".
func converted(b *npki.Bundle, to string, e npki.Encryption, password []byte) (map[string][]byte, error) {
	switch to {
	case "p12":
		data, err := b.MarshalPFX(e, password)
		return map[string][]byte{"": data}, err
	case "pem":
		data, err := b.MarshalPEM(e, password)
		return map[string][]byte{"": data}, err
	case "npki":
		files := map[string][]byte{}
		for _, p := range b.Pairs {
			prefix := "km"
			if p.Certificate.Signs() {
				prefix = "sign"
			}
			if _, ok := files[prefix+"Cert.der"]; ok {
				return nil, &npki.Error{Code: npki.ErrUnsupported, What: "several certificates of one kind; convert them one by one"}
			}
			key, err := p.Key.Marshal(e, password)
			if err != nil {
				return nil, err
			}
			files[prefix+"Cert.der"], files[prefix+"Pri.key"] = p.Certificate.Raw, key
		}
		return files, nil
	}
	return nil, fmt.Errorf("--to is %q; it is npki, p12 or pem", to)
}

// writeConverted writes new files that only their owner reads.
func writeConverted(cmd *cobra.Command, out string, folder bool, files map[string][]byte) error {
	if folder {
		if err := os.MkdirAll(out, 0o700); err != nil {
			return err
		}
	}
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		path := filepath.Join(out, name)
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		_, err = f.Write(files[name])
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
		cmd.Println(path)
	}
	return nil
}

func vidComputeCommand() *cobra.Command {
	var algorithm string
	cmd := &cobra.Command{
		Use:   "compute FILE...",
		Short: "Compute the VID of a number under the R beside a key",
		Args:  cobra.MinimumNArgs(1),
		RunE: spoken(func(cmd *cobra.Command, args []string, t tongue) error {
			hash, ok := map[string]crypto.Hash{"sha256": crypto.SHA256, "sha1": crypto.SHA1}[algorithm]
			if !ok {
				return fmt.Errorf("--hash is %q; it is sha256 or sha1", algorithm)
			}
			return withR(cmd, args, t, func(_ *npki.Certificate, idn, r []byte) error {
				v, err := npki.ComputeVID(hash, idn, r)
				if err == nil {
					cmd.Printf("%x\n", v.Value)
				}
				return err
			})
		}),
	}
	cmd.Flags().StringVar(&algorithm, "hash", "sha256", "sha256, or sha1 as in old certificates")
	filePassword.addFlag(cmd)
	number.addFlag(cmd)
	return cmd
}

func vidVerifyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "verify FILE...",
		Short: "Say whether a certificate belongs to a number",
		Args:  cobra.MinimumNArgs(1),
		RunE: spoken(func(cmd *cobra.Command, args []string, t tongue) error {
			return withR(cmd, args, t, func(c *npki.Certificate, idn, r []byte) error {
				if c == nil {
					return &npki.Error{Code: npki.ErrMissing, What: "certificate"}
				}
				id, err := c.Identity()
				if err != nil {
					return err
				}
				if id.VID == nil {
					return &npki.Error{Code: npki.ErrMissing, What: "VID"}
				}
				if err := id.VID.Verify(idn, r, crypto.SHA1); err != nil {
					return err
				}
				cmd.Println(t.say("인증서가 이 번호의 것입니다", "the certificate belongs to this number"))
				return nil
			})
		}),
	}
	filePassword.addFlag(cmd)
	number.addFlag(cmd)
	return cmd
}

// withR opens files, finds the signing key with its R, reads a number, and forgets all of them afterwards. The
// certificate is nil when only the key is there.
func withR(cmd *cobra.Command, paths []string, t tongue, use func(c *npki.Certificate, idn, r []byte) error) error {
	b, opened, err := openFiles(cmd, paths, t)
	if err != nil {
		return err
	}
	defer b.Wipe()
	defer clear(opened)
	var c *npki.Certificate
	var key *npki.PrivateKey
	switch pair, err := b.Signing(); {
	case err == nil:
		c, key = pair.Certificate, pair.Key
	case len(b.Keys) == 1 && len(b.Pairs) == 0:
		key = b.Keys[0]
	default:
		return err
	}
	if key.R == nil {
		return &npki.Error{Code: npki.ErrMissing, What: "R"}
	}
	idn, err := number.read(cmd, t)
	if err != nil {
		return err
	}
	defer clear(idn)
	bare := slices.DeleteFunc(idn, func(c byte) bool { return c == '-' || c == ' ' })
	return use(c, bare, key.R)
}
