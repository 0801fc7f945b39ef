package mobileid_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anyid/anyid/internal/authn"
	"github.com/anyid/anyid/internal/authn/mobileid"
	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/internal/storage/storagetest"
)

var (
	byQR  = authn.Input{Provider: mobileid.ProviderMIP, Mode: authn.QR}
	byApp = authn.Input{Provider: mobileid.ProviderMIP, Mode: authn.App}
)

func typedIn(name, born string) authn.Input {
	return authn.Input{Provider: mobileid.ProviderMIP, Mode: authn.Push, Name: name, BirthDate: born, Phone: "01012345678"}
}

// TestMIP goes each way to the wallet, to what it proves.
func TestMIP(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	if got := w.adapter.Modes(mobileid.ProviderMIP); !slices.Equal(got, []authn.Mode{authn.Push, authn.QR, authn.App}) {
		t.Errorf("modes %q", got)
	}
	check(t, w.adapter.Check(t.Context()))
	for name, c := range map[string]struct {
		in   authn.Input
		keys []int
		want authn.Evidence
	}{
		"push": {typedIn("홍 길동", "1990-03-01"), nil, authn.Evidence{Level: 2, AMR: []string{"pop", "mca", "mfa", "pin"}}},
		"qr":   {byQR, []int{0, 1}, authn.Evidence{Level: 3, AMR: []string{"pop", "mca", "mfa", "pin", "face"}}},
		"app":  {byApp, []int{1}, authn.Evidence{Level: 3, AMR: []string{"pop", "mfa", "face"}}},
	} {
		t.Run(name, func(t *testing.T) {
			citizen := w.newCitizen(t)
			a := w.begin(t, c.in)
			if len(a.started.Shown.Code) != 2 || a.started.ExpiresAt.IsZero() || a.started.PollAfter <= 0 {
				t.Errorf("started %+v", a.started)
			}
			if strings.Contains(string(a.started.Private), "길동") || strings.Contains(string(a.started.Private), "1990") {
				t.Error("what was typed is kept")
			}
			if _, code := a.outcome(t); code != authn.NotReady {
				t.Errorf("before the answer: %q", code)
			}
			if _, err := w.adapter.Complete(t.Context(), a.Attempt); codeOf(t, err) != authn.NotReady {
				t.Errorf("before the answer: %v", err)
			}
			if code := citizen.answer(t, a, switches{keys: c.keys}); code != 0 {
				t.Fatalf("refused: %d", code)
			}
			got, code := a.outcome(t)
			want := c.want
			want.Method, want.Provider, want.Label, want.Binding = method.MobileID, "mip", "모바일 운전면허증", authn.Signed
			want.CI, want.Subject, want.At, want.Digest = citizen.ci, citizen.ci, got.At, got.Digest
			want.Attributes = authn.Attributes{Name: citizenName, BirthDate: "1990-03-01", Gender: "male"}
			if code != "" || !reflect.DeepEqual(got, want) || len(got.Digest) != 64 || time.Since(got.At) > time.Minute {
				t.Errorf("%q, got %+v, want %+v", code, got, want)
			}
			if _, code := a.outcome(t); code != authn.AlreadyUsed {
				t.Errorf("taken again: %q", code)
			}
		})
	}
	m := w.push.messages[0]
	if data := m["data"]; m["mscode"] != "MS1" || m["pushType"] != "MIP-USP-001" || m["telno"] != "01012345678" || m["name"] != "홍 길동" || m["birth"] != "19900301" || data == "" {
		t.Errorf("push message %v", m)
	}
}

// TestReissued: another ID of the same person, with another DID and card, is the same subject.
func TestReissued(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	first, second := w.newCitizen(t), w.newCitizen(t)
	second.ci, second.card = first.ci, "residence"
	var subjects []string
	for _, c := range []*citizen{first, second} {
		a := w.begin(t, byQR)
		if code := c.answer(t, a, switches{}); code != 0 {
			t.Fatalf("refused: %d", code)
		}
		e, _ := a.outcome(t)
		subjects = append(subjects, e.Subject)
		if want := map[string]string{"driverlicen": "", "residence": "foreign"}[c.card]; e.Attributes.Nationality != want {
			t.Errorf("nationality %q, want %q", e.Attributes.Nationality, want)
		}
	}
	if subjects[0] != subjects[1] || subjects[0] == "" {
		t.Error("two subjects")
	}
}

// TestMIPRefuses: each thing that a wallet can do wrong, the error that it is told, and what the journey hears.
func TestMIPRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	thief := w.newCitizen(t)
	all := func(f func(c doc)) func([]doc) {
		return func(list []doc) {
			for _, c := range list {
				f(c)
			}
		}
	}
	last := func(f func(c doc)) func([]doc) { return func(list []doc) { f(list[len(list)-1]) } }
	setProof := func(name string, v any) func(doc) { return func(p doc) { p[name] = v } }
	set := func(name string, v any) func(doc) { return func(m doc) { m[name] = v } }
	without := func(name string) func(doc) { return func(m doc) { delete(m, name) } }
	past := "2020-01-01T00:00:00"
	ciHex := func(ci string) string { return hex.EncodeToString([]byte(ci)) }

	for name, c := range map[string]struct {
		s       switches
		prepare func(c *citizen)
		mip     int
		code    authn.Code
	}{
		"nothing":           {code: ""},
		"NEED_RENEW, moved": {prepare: func(c *citizen) { w.institution.set(c.id, "NEED_RENEW", "주소변경") }},
		"one VC with all": {prepare: func(*citizen) {}, s: switches{credentials: func(list []doc) {
			list[0]["credentialSubject"].(doc)["privacy"] = []doc{{"type": "name", "value": citizenName}, {"type": "birth", "value": "19900301"}}
		}}},
		"proofs of one": {s: switches{signed: func(vp doc) { vp["proofs"] = []any{vp["proof"]}; delete(vp, "proof") }}},

		// The nonce.
		"another nonce in the proof":   {s: switches{nonce: func(_, ci string) any { return strings.Repeat("a", 64) + ciHex(ci) }}, mip: 10111, code: authn.BadEvidence},
		"another nonce in the message": {s: switches{message: set("nonce", strings.Repeat("a", 64))}, mip: 10111, code: authn.BadEvidence},
		"the nonce behind something":   {s: switches{nonce: func(n, ci string) any { return "00" + n + ciHex(ci) }}, mip: 10111, code: authn.BadEvidence},
		"something between":            {s: switches{nonce: func(n, ci string) any { return n + "00" + ciHex(ci) }}, mip: 10111, code: authn.BadEvidence},
		"something behind":             {s: switches{nonce: func(n, ci string) any { return n + ciHex(ci) + "00" }}, mip: 10111, code: authn.BadEvidence},
		"no CI":                        {s: switches{nonce: func(n, _ string) any { return n }}, mip: 10111, code: authn.BadEvidence},
		"CI of 84 characters":          {s: switches{nonce: func(n, ci string) any { return n + ciHex(ci[:84]) }}, mip: 10111, code: authn.BadEvidence},
		"CI not base64":                {s: switches{nonce: func(n, ci string) any { return n + ciHex("*"+ci[1:]) }}, mip: 10111, code: authn.BadEvidence},
		"CI with a line break":         {s: switches{nonce: func(n, ci string) any { return n + ciHex(ci[:40]+"\n"+ci[41:]) }}, mip: 10111, code: authn.BadEvidence},
		"CI in no hex":                 {s: switches{nonce: func(n, ci string) any { return n + "zz" + ciHex(ci)[2:] }}, mip: 10111, code: authn.BadEvidence},
		"the nonce a number":           {s: switches{nonce: func(string, string) any { return 7 }}, mip: 10100, code: authn.BadEvidence},
		"two proofs, one over another": {s: switches{keys: []int{0, 1}, proof: func(p doc) {
			if strings.HasSuffix(p["creator"].(string), "FACE1") {
				p["nonce"] = strings.Repeat("a", 64) + p["nonce"].(string)[64:]
			}
		}}, mip: 10111, code: authn.BadEvidence},
		"two proofs, two CIs": {s: switches{keys: []int{0, 1}, proof: func(p doc) {
			if strings.HasSuffix(p["creator"].(string), "FACE1") {
				p["nonce"] = p["nonce"].(string)[:64] + ciHex(thief.ci)
			}
		}}, mip: 10111, code: authn.BadEvidence},

		// The holder.
		"another holder in one VC":      {s: switches{credentials: last(func(c doc) { c["credentialSubject"].(doc)["id"] = thief.did })}, mip: 10100, code: authn.BadEvidence},
		"another holder in the message": {s: switches{message: set("did", thief.did)}, mip: 10100, code: authn.BadEvidence},
		"a proof of another holder":     {s: switches{proof: setProof("creator", thief.did+"#PIN1")}, mip: 10100, code: authn.BadEvidence},
		"a proof of no key":             {s: switches{proof: setProof("creator", thief.did)}, mip: 10100, code: authn.BadEvidence},
		"a key that is not there": {s: switches{proof: func(p doc) {
			did, _, _ := strings.Cut(p["creator"].(string), "#")
			p["creator"] = did + "#PIN9"
		}}, mip: 10100, code: authn.BadEvidence},
		"the proof's curve another": {s: switches{proof: func(p doc) {
			p["type"] = map[any]string{"Secp256r1VerificationKey2018": "Secp256k1VerificationKey2018", "Secp256k1VerificationKey2018": "Secp256r1VerificationKey2018"}[p["type"]]
		}}, mip: 10100, code: authn.BadEvidence},
		"alg none":           {s: switches{proof: setProof("type", "none"), signed: func(vp doc) { vp["proof"].(doc)["signatureValue"] = "" }}, mip: 10100, code: authn.BadEvidence},
		"no signature":       {s: switches{signed: func(vp doc) { delete(vp["proof"].(doc), "signatureValue") }}, mip: 10100, code: authn.BadEvidence},
		"signature of zeros": {s: switches{signed: func(vp doc) { vp["proof"].(doc)["signatureValue"] = base58(append([]byte{31}, make([]byte, 64)...)) }}, mip: 10100, code: authn.BadEvidence},
		"the proof altered":  {s: switches{signed: func(vp doc) { vp["proof"].(doc)["created"] = past }}, mip: 10100, code: authn.BadEvidence},
		"the nonce altered":  {s: switches{signed: func(vp doc) { vp["proof"].(doc)["nonce"] = vp["proof"].(doc)["nonce"].(string)[:64] + ciHex(thief.ci) }}, mip: 10100, code: authn.BadEvidence},
		"the VP altered":     {s: switches{signed: set("id", "vp2")}, mip: 10100, code: authn.BadEvidence},
		"a member added":     {s: switches{signed: set("holder", "x")}, mip: 10100, code: authn.BadEvidence},
		"a VC taken out":     {s: switches{signed: func(vp doc) { vp["verifiableCredential"] = vp["verifiableCredential"].([]doc)[:2] }}, mip: 10100, code: authn.BadEvidence},
		"no proof":           {s: switches{signed: without("proof")}, mip: 10100, code: authn.BadEvidence},
		"proof and proofs":   {s: switches{signed: func(vp doc) { vp["proofs"] = []any{vp["proof"]} }}, mip: 10100, code: authn.BadEvidence},
		"one proof twice":    {s: switches{signed: func(vp doc) { vp["proofs"] = []any{vp["proof"], vp["proof"]}; delete(vp, "proof") }}, mip: 10100, code: authn.BadEvidence},
		"proofs empty":       {s: switches{signed: func(vp doc) { vp["proofs"] = []any{}; delete(vp, "proof") }}, mip: 10100, code: authn.BadEvidence},
		"proofs of two holders": {s: switches{signed: func(vp doc) {
			other := maps.Clone(vp["proof"].(doc))
			other["creator"] = thief.did + "#PIN1"
			vp["proofs"] = []any{vp["proof"], other}
			delete(vp, "proof")
		}}, mip: 10100, code: authn.BadEvidence},
		"one of two proofs altered": {s: switches{keys: []int{0, 1}, signed: func(vp doc) { vp["proofs"].([]doc)[1]["created"] = past }}, mip: 10100, code: authn.BadEvidence},

		// The presentation.
		"VP expired":          {s: switches{vp: set("expirationDate", past)}, mip: 10100, code: authn.BadEvidence},
		"VP without an end":   {s: switches{vp: without("expirationDate")}, mip: 10100, code: authn.BadEvidence},
		"VP of another type":  {s: switches{vp: set("type", []string{"VerifiableCredential"})}, mip: 10100, code: authn.BadEvidence},
		"VP with a fraction":  {s: switches{vp: set("x", 1.5)}, mip: 10100, code: authn.BadEvidence},
		"no VC":               {s: switches{vp: set("verifiableCredential", []doc{})}, mip: 10100, code: authn.BadEvidence},
		"VCs no list":         {s: switches{vp: set("verifiableCredential", doc{})}, mip: 10100, code: authn.BadEvidence},
		"33 VCs":              {s: switches{vp: func(vp doc) { vp["verifiableCredential"] = slices.Repeat(vp["verifiableCredential"].([]doc), 11) }}, mip: 10100, code: authn.BadEvidence},
		"a doubled member":    {s: switches{plain: func(b []byte) []byte { return append([]byte(`{"id":"vp1",`), b[1:]...) }}, mip: 10100, code: authn.BadEvidence},
		"no JSON":             {s: switches{plain: func(b []byte) []byte { return b[1:] }}, mip: 10100, code: authn.BadEvidence},
		"data behind":         {s: switches{plain: func(b []byte) []byte { return append(b, '{', '}') }}, mip: 10100, code: authn.BadEvidence},
		"data too deep":       {s: switches{vp: func(vp doc) { vp["x"] = json.RawMessage(strings.Repeat("[", 20) + strings.Repeat("]", 20)) }}, mip: 10100, code: authn.BadEvidence},
		"data of many values": {s: switches{vp: func(vp doc) { vp["x"] = make([]int, 5000) }}, mip: 10100, code: authn.BadEvidence},

		// The credentials.
		"mixed parentId":             {s: switches{credentials: last(set("parentId", "vc-other"))}, mip: 10100, code: authn.BadEvidence},
		"no parentId":                {s: switches{credentials: last(without("parentId"))}, mip: 10100, code: authn.BadEvidence},
		"one VC expired":             {s: switches{credentials: last(set("expirationDate", past))}, mip: 10100, code: authn.NoCredential},
		"one VC without an end":      {s: switches{credentials: last(without("expirationDate"))}, mip: 10100, code: authn.BadEvidence},
		"one VC of tomorrow":         {s: switches{credentials: last(set("issuanceDate", "2199-01-01T00:00:00"))}, mip: 10100, code: authn.BadEvidence},
		"issuer not allowed":         {s: switches{credentials: last(func(c doc) { c["issuer"] = doc{"id": "did:kr:mobileid:other"} })}, mip: 10100, code: authn.BadEvidence}, // signed by another's key
		"kind not taken":             {prepare: func(c *citizen) { c.card = "student" }, mip: 10100, code: authn.NoCredential},
		"one kind not taken":         {s: switches{credentials: last(func(c doc) { c["assertion"] = doc{"code": "student"} })}, mip: 10100, code: authn.NoCredential},
		"issuer allowed, no key":     {s: switches{credentials: last(func(c doc) { c["issuer"] = doc{"id": "did:kr:mobileid:issuer2"} }), stolen: last(func(c doc) { delete(c["proof"].(doc), "creator") })}, mip: 10100, code: authn.BadEvidence},
		"another key's VC":           {prepare: func(c *citizen) { c.issuer = key{c.issuer.id, c.keys[1].private} }, mip: 10100, code: authn.BadEvidence},
		"a VC altered":               {s: switches{stolen: last(func(c doc) { c["credentialSubject"].(doc)["privacy"] = []doc{{"type": "name", "value": "임꺽정"}} })}, mip: 10100, code: authn.BadEvidence},
		"a VC unsigned":              {s: switches{stolen: last(without("proof"))}, mip: 10100, code: authn.BadEvidence},
		"a VC without its signature": {s: switches{stolen: last(func(c doc) { delete(c["proof"].(doc), "signatureValue") })}, mip: 10100, code: authn.BadEvidence},
		"a checksum wrong": {s: switches{stolen: last(func(c doc) {
			p := c["proof"].(doc)
			s := []byte(p["signatureValue"].(string))
			s[len(s)-1] ^= 1
			p["signatureValue"] = string(s)
		})}, mip: 10100, code: authn.BadEvidence},
		"a VC of the other curve":  {s: switches{stolen: last(func(c doc) { c["proof"].(doc)["type"] = "Secp256k1VerificationKey2018" })}, mip: 10100, code: authn.BadEvidence},
		"a VC's proof of another":  {s: switches{stolen: last(func(c doc) { c["proof"].(doc)["creator"] = issuer + "#key.2" })}, mip: 10100, code: authn.BadEvidence},
		"no name":                  {prepare: func(c *citizen) { c.attributes = c.attributes[1:] }, mip: 10100, code: authn.BadEvidence},
		"no birth date":            {prepare: func(c *citizen) { c.attributes = c.attributes[:1] }, mip: 10100, code: authn.BadEvidence},
		"two names":                {prepare: func(c *citizen) { c.attributes = append(c.attributes, doc{"type": "name", "value": "임꺽정"}) }, mip: 10100, code: authn.BadEvidence},
		"the name a number":        {prepare: func(c *citizen) { c.attributes[0] = doc{"type": "name", "value": 7} }, mip: 10100, code: authn.BadEvidence},
		"a control in the name":    {prepare: func(c *citizen) { c.attributes[0] = doc{"type": "name", "value": "홍\x00길동"} }, mip: 10100, code: authn.BadEvidence},
		"a subject without claims": {s: switches{credentials: all(func(c doc) { c["credentialSubject"].(doc)["privacy"] = []doc{} })}, mip: 10100, code: authn.BadEvidence},

		// The status.
		"NEED_RENEW":                {prepare: func(c *citizen) { w.institution.set(c.id, "NEED_RENEW", "") }, mip: 10100, code: authn.NoCredential},
		"NEED_RENEW, something":     {prepare: func(c *citizen) { w.institution.set(c.id, "NEED_RENEW", "개명") }, mip: 10100, code: authn.NoCredential},
		"PAUSE":                     {prepare: func(c *citizen) { w.institution.set(c.id, "PAUSE", "") }, mip: 10100, code: authn.NoCredential},
		"REVOKE":                    {prepare: func(c *citizen) { w.institution.set(c.id, "REVOKE", "") }, mip: 10100, code: authn.NoCredential},
		"NOT_EXIST":                 {prepare: func(c *citizen) { w.institution.set(c.id, "NOT_EXIST", "") }, mip: 10100, code: authn.NoCredential},
		"active in small letters":   {prepare: func(c *citizen) { w.institution.set(c.id, "active", "") }, mip: 10100, code: authn.NoCredential},
		"a VC that nobody knows":    {s: switches{credentials: last(set("id", "vc-unknown"))}, mip: 10100, code: authn.NoCredential},
		"the last one's status bad": {prepare: func(c *citizen) { w.institution.set(c.id+"-last", "REVOKE", "") }, s: switches{credentials: last(func(c doc) { c["id"] = c["id"].(string) + "-last" })}, mip: 10100, code: authn.NoCredential},

		// The message.
		"no vp.data":           {s: switches{message: without("data")}, mip: 10002, code: authn.BadEvidence},
		"no vp.did":            {s: switches{message: without("did")}, mip: 10002, code: authn.BadEvidence},
		"no vp.nonce":          {s: switches{message: without("nonce")}, mip: 10002, code: authn.BadEvidence},
		"no vp.type":           {s: switches{message: without("type")}, mip: 10002, code: authn.BadEvidence},
		"no presentType":       {s: switches{message: without("presentType")}, mip: 10002, code: authn.BadEvidence},
		"ZKP":                  {s: switches{message: set("presentType", 2)}, mip: 10106, code: authn.BadEvidence},
		"presentType in words": {s: switches{message: set("presentType", "one")}, mip: 10106, code: authn.BadEvidence},
		"not encrypted":        {s: switches{message: set("encryptType", 0)}, mip: 10107, code: authn.BadEvidence},
		"encrypted weaker":     {s: switches{message: set("encryptType", 1)}, mip: 10107, code: authn.BadEvidence},
		"another keyType":      {s: switches{message: set("keyType", 1)}, mip: 10108, code: authn.BadEvidence},
		"another type":         {s: switches{message: set("type", "ISSUE")}, mip: 10109, code: authn.BadEvidence},
		"authType unknown":     {s: switches{message: set("authType", []string{"pin", "iris"})}, mip: 10110, code: authn.BadEvidence},
		"authType no list":     {s: switches{message: set("authType", "pin")}, mip: 10110, code: authn.BadEvidence},
		"data no hex":          {s: switches{message: set("data", "zz")}, mip: 10100, code: authn.BadEvidence},
		"data of another key":  {s: switches{message: set("data", strings.Repeat("ab", 400))}, mip: 10100, code: authn.BadEvidence},
		"M400 before M310":     {s: switches{skipProfile: true}, mip: 10201, code: authn.NotReady},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, citizen := w.begin(t, byQR), w.newCitizen(t)
			if c.prepare != nil {
				c.prepare(citizen)
			}
			if got := citizen.answer(t, a, c.s); got != c.mip {
				t.Errorf("the wallet is told %d, want %d", got, c.mip)
			}
			e, code := a.outcome(t)
			if code != c.code {
				t.Errorf("the journey is told %q, want %q", code, c.code)
			}
			if (e.CI != "") != (c.code == "") {
				t.Errorf("evidence %+v", e)
			}
		})
	}
}

// TestIssuerNotAllowed: a credential that is in order, of an issuer that is not taken.
func TestIssuerNotAllowed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil, func(c *mobileid.Config) { c.MIP.Issuers = []string{"did:kr:mobileid:issuer2"} })
	a := w.begin(t, byQR)
	if mip := w.newCitizen(t).answer(t, a, switches{}); mip != 10100 {
		t.Errorf("the wallet is told %d", mip)
	}
	if _, code := a.outcome(t); code != authn.NoCredential {
		t.Errorf("the journey is told %q", code)
	}
	if w.institution.asked["/documents"] != 0 {
		t.Error("the ledger is asked about it")
	}
}

// TestAuthTypes: what the profile asks for, the wallet must have shown with a key of that name.
func TestAuthTypes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil, func(c *mobileid.Config) { c.MIP.AuthTypes = []string{"face"} })
	w.institution.edit = func(p doc) { p["authType"] = []string{"pin", "face"} }
	says := func(words ...string) func(doc) { return func(m doc) { m["authType"] = words } }
	for name, c := range map[string]struct {
		s   switches
		mip int
	}{
		"both":                {switches{keys: []int{0, 1}, message: says("pin", "face")}, 0},
		"both, said more":     {switches{keys: []int{0, 1}, message: says("pin", "face", "bio")}, 0},
		"said pin":            {switches{keys: []int{0, 1}, message: says("pin")}, 10112},
		"said nothing":        {switches{keys: []int{0, 1}, message: func(m doc) { m["authType"] = nil }}, 10112},
		"both said, pin only": {switches{keys: []int{0}, message: says("pin", "face")}, 10112},
		"both said, face":     {switches{keys: []int{1}, message: says("pin", "face")}, 10112},
	} {
		a := w.begin(t, byQR)
		if got := w.newCitizen(t).answer(t, a, c.s); got != c.mip {
			t.Errorf("%s: %d, want %d", name, got, c.mip)
		}
		if e, code := a.outcome(t); (code == "") != (c.mip == 0) || c.mip == 0 && e.Level != 3 {
			t.Errorf("%s: %q, level %d", name, code, e.Level)
		}
	}
	w.institution.edit = func(p doc) { p["authType"] = []string{"pin"} }
	at := w.attempt(mobileid.ProviderMIP)
	if _, err := w.adapter.Begin(t.Context(), at, byQR); codeOf(t, err) != authn.BadRequest {
		t.Errorf("a profile that does not ask for the face: %v", err)
	}
}

// TestOrder: the state machine, from the wallet's side.
func TestOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	c := w.newCitizen(t)
	a := w.begin(t, byQR)
	host, trxcode := a.scanned(t)
	profileOf := func(trxcode string) int { _, code := fetch(t, host, trxcode); return code }
	present := func(trxcode string, vp doc) int {
		_, code := say(t, host+"/mip/vp", message("400", trxcode, doc{"request": "presentation", "vp": vp}))
		return code
	}
	image, code := say(t, host+"/mip/image", message("320", trxcode, doc{"request": "image"}))
	if text, _ := image["image"].(string); code != 0 || image["trxcode"] != trxcode || text != base64.RawURLEncoding.EncodeToString([]byte("a picture")) {
		t.Errorf("image %v, %d", image, code)
	}
	profile, code := fetch(t, host, trxcode)
	if code != 0 || profile["callBackUrl"] != host+"/mip/vp" {
		t.Fatalf("M310: %d", code)
	}
	if got := profileOf(trxcode); got != 10201 {
		t.Errorf("M310 twice: %d", got)
	}
	vp := c.present(t, w, profile["nonce"].(string), switches{})
	if got := present(trxcode, vp); got != 0 {
		t.Fatalf("M400: %d", got)
	}
	for i := range 2 {
		if got := present(trxcode, vp); got != 10201 {
			t.Errorf("M400 again: %d", got)
		}
		if got := profileOf(trxcode); got != 10201 {
			t.Errorf("M310 after all: %d", got)
		}
		if _, got := say(t, host+"/mip/image", message("320", trxcode, doc{"request": "image"})); got != 10201 {
			t.Errorf("M320 after all: %d", got)
		}
		if _, got := say(t, host+"/mip/error", message("900", trxcode, doc{"errcode": 20901, "errmsg": "cancelled"})); got != 0 {
			t.Errorf("M900 after all: %d", got)
		}
		if e, code := a.outcome(t); i == 0 && (code != "" || e.CI != c.ci) || i == 1 && code != authn.AlreadyUsed {
			t.Errorf("outcome %d: %q", i, code)
		}
	}

	// A used presentation in another transaction.
	b := w.begin(t, byQR)
	_, other := b.scanned(t)
	if got := profileOf(other); got != 0 {
		t.Fatalf("M310: %d", got)
	}
	if got := present(other, vp); got != 10111 {
		t.Errorf("replayed: %d", got)
	}
	if _, code := b.outcome(t); code != authn.BadEvidence {
		t.Errorf("replayed: %q", code)
	}

	// Another attempt's result, under a handle that was moved.
	mixed := w.begin(t, byQR)
	mixed.Private = a.Private
	if _, err := w.adapter.Complete(t.Context(), mixed.Attempt); codeOf(t, err) != authn.BadEvidence {
		t.Errorf("another attempt's handle: %v", err)
	}
	if _, err := w.adapter.Status(t.Context(), mixed.Attempt); codeOf(t, err) != authn.BadEvidence {
		t.Errorf("another attempt's handle: %v", err)
	}

	// Too late.
	late := w.begin(t, byQR)
	_, trxcode = late.scanned(t)
	w.advance(3*time.Minute + time.Second)
	if got := profileOf(trxcode); got != 10202 {
		t.Errorf("late: %d", got)
	}
	if _, code := late.outcome(t); code != authn.TooLate {
		t.Errorf("late: %q", code)
	}
	if _, err := w.adapter.Complete(t.Context(), late.Attempt); codeOf(t, err) != authn.TooLate {
		t.Errorf("late: %v", err)
	}
	w.advance(5 * time.Minute)
	if got := profileOf(trxcode); got != 10104 {
		t.Errorf("much later: %d", got)
	}
	if _, code := late.outcome(t); code != authn.TooLate {
		t.Errorf("much later: %q", code)
	}
}

// TestAnsweredLate: an answer that came in time waits a little for the citizen; one that comes later does not count.
func TestAnsweredLate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	c := w.newCitizen(t)
	a, b := w.begin(t, byQR), w.begin(t, byQR)
	if code := c.answer(t, a, switches{}); code != 0 {
		t.Fatalf("refused: %d", code)
	}
	host, trxcode := b.scanned(t)
	profile, _ := fetch(t, host, trxcode)
	vp := c.present(t, w, profile["nonce"].(string), switches{})
	w.advance(3*time.Minute + time.Second)
	if !a.started.ExpiresAt.After(w.now()) {
		t.Error("the journey gives up at the deadline")
	}
	if _, code := a.outcome(t); code != "" {
		t.Errorf("in time: %q", code)
	}
	if _, code := say(t, host+"/mip/vp", message("400", trxcode, doc{"request": "presentation", "vp": vp})); code != 10202 {
		t.Errorf("late: %d", code)
	}
	if _, code := b.outcome(t); code != authn.TooLate {
		t.Errorf("late: %q", code)
	}
}

// TestWalletErrors: what a wallet reports ends the transaction.
func TestWalletErrors(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for name, c := range map[string]struct {
		code any
		want authn.Code
	}{
		"cancelled": {20901, authn.UserCancelled}, "cancelled, as a string": {"20901", authn.UserCancelled}, "timeout": {20202, authn.TooLate},
		"no VC": {20301, authn.NoCredential}, "no allowed VC": {20302, authn.NoCredential}, "profile": {20300, authn.BadRequest},
		"profile's signature": {20306, authn.BadEvidence}, "user": {90001, authn.Code(authn.Failed)}, "SP": {90002, authn.ProviderAuth},
		"other": {99999, authn.ProviderDown}, "proxy": {2002, authn.ProviderDown},
	} {
		for _, fetched := range []bool{false, true} {
			a := w.begin(t, byQR)
			host, trxcode := a.scanned(t)
			if fetched {
				if _, code := fetch(t, host, trxcode); code != 0 {
					t.Fatalf("M310: %d", code)
				}
			}
			if _, code := say(t, host+"/mip/error", message("900", trxcode, doc{"errcode": c.code, "errmsg": "…"})); code != 0 {
				t.Errorf("%s: %d", name, code)
			}
			if _, code := a.outcome(t); code != c.want {
				t.Errorf("%s: %q, want %q", name, code, c.want)
			}
			if _, code := fetch(t, host, trxcode); code != 10201 {
				t.Errorf("%s: the profile afterwards: %d", name, code)
			}
		}
	}
}

// TestForm: what is not MIP is told so, and tells nothing about a transaction.
func TestForm(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	a := w.begin(t, byQR)
	host, trxcode := a.scanned(t)
	wrap := func(text string) string {
		return `{"data":"` + base64.RawURLEncoding.EncodeToString([]byte(text)) + `"}`
	}
	good := `{"type":"mip","version":"1.0.0","cmd":"310","trxcode":"` + trxcode + `","request":"profile"}`
	for name, c := range map[string]struct {
		body string
		want int
	}{
		"empty":               {"", 10001},
		"no JSON":             {"data=x", 10001},
		"a list":              {`["x"]`, 10001},
		"two objects":         {wrap(good) + "{}", 10001},
		"doubled member":      {`{"data":"x",` + wrap(good)[1:], 10001},
		"invalid UTF-8":       {"{\"data\":\"\xff\"}", 10001},
		"huge":                {`{"data":"` + strings.Repeat("A", 1<<20) + `"}`, 10001},
		"no data":             {`{"Data":"x"}`, 10002},
		"data a number":       {`{"data":7}`, 10002},
		"standard alphabet":   {`{"data":"ab+/"}`, 10003},
		"line break":          {`{"data":"ab\nc"}`, 10003},
		"padding inside":      {`{"data":"ab=c"}`, 10003},
		"too much padding":    {`{"data":"abcd===="}`, 10003},
		"bits left over":      {`{"data":"ab"}`, 10003},
		"message no JSON":     {wrap("x"), 10001},
		"message too deep":    {wrap(strings.Repeat(`{"a":`, 20) + "1" + strings.Repeat("}", 20)), 10001},
		"no type":             {wrap(`{"version":"1.0.0","cmd":"310"}`), 10002},
		"another type":        {wrap(strings.Replace(good, `"mip"`, `"bip"`, 1)), 10101},
		"another version":     {wrap(strings.Replace(good, `1.0.0`, `2.0.0`, 1)), 10102},
		"another cmd":         {wrap(strings.Replace(good, `310`, `400`, 1)), 10103},
		"cmd a number":        {wrap(strings.Replace(good, `"310"`, `310`, 1)), 10002},
		"no trxcode":          {wrap(`{"type":"mip","version":"1.0.0","cmd":"310","request":"profile"}`), 10002},
		"no request":          {wrap(`{"type":"mip","version":"1.0.0","cmd":"310","trxcode":"` + trxcode + `"}`), 10002},
		"another request":     {wrap(strings.Replace(good, `profile`, `image`, 1)), 10100},
		"unknown trxcode":     {wrap(strings.Replace(good, trxcode, trxcode[:48]+"x", 1)), 10104},
		"trxcode of nobody":   {wrap(strings.Replace(good, trxcode, trxcode[:17]+strings.Repeat("0", 32), 1)), 10104},
		"trxcode of any text": {wrap(strings.Replace(good, trxcode, "mip:../x", 1)), 10104},
	} {
		if _, code := said(t, host+"/mip/profile", c.body); code != c.want {
			t.Errorf("%s: %d, want %d", name, code, c.want)
		}
	}
	for name, body := range map[string]string{"M900": `{"cmd":"900","errmsg":"x"}`, "M900 in words": `{"cmd":"900","errcode":"x","errmsg":"x"}`, "M900 without text": `{"cmd":"900","errcode":1}`} {
		var m doc
		check(t, json.Unmarshal([]byte(body), &m))
		if _, code := say(t, host+"/mip/error", message("900", trxcode, m)); code != 10002 {
			t.Errorf("%s: %d", name, code)
		}
	}
	if _, code := say(t, host+"/mip/vp", message("400", trxcode, doc{"request": "presentation"})); code != 10002 {
		t.Errorf("no vp: %d", code)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, host+"/mip/profile", strings.NewReader(wrap(good)))
	check(t, err)
	req.Header.Set("Content-Type", "text/plain")
	resp, err := http.DefaultClient.Do(req)
	check(t, err)
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("a form: %d %v", resp.StatusCode, resp.Header)
	}
	// After all of that, the transaction is as it was; padding is taken.
	padded := base64.URLEncoding.EncodeToString([]byte(good + " "[:(3-len(good)%3)%3%2]))
	if _, code := said(t, host+"/mip/profile", `{"data":"`+padded+`"}`); code != 0 {
		t.Errorf("the right message: %d", code)
	}
}

// TestTyped: what was typed is whom the ID must be of, as far as it was typed.
func TestTyped(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for name, c := range map[string]struct {
		in   authn.Input
		want authn.Code
	}{
		"right":              {typedIn(citizenName, "1990-03-01"), ""},
		"another name":       {typedIn("임꺽정", "1990-03-01"), authn.PersonMismatch},
		"another birth date": {typedIn(citizenName, "1990-03-02"), authn.PersonMismatch},
		"decomposed":         {typedIn("\u1112\u1169\u11bc길동", "1990-03-01"), ""},
		"nothing typed":      {byQR, ""},
	} {
		a := w.begin(t, c.in)
		if code := w.newCitizen(t).answer(t, a, switches{}); code != 0 {
			t.Fatalf("%s: %d", name, code)
		}
		if e, code := a.outcome(t); code != c.want || (e.CI == "") != (c.want != "") {
			t.Errorf("%s: %q, want %q", name, code, c.want)
		}
		if _, code := a.outcome(t); code != authn.AlreadyUsed {
			t.Errorf("%s: again: %q", name, code)
		}
	}
}

// TestPush: what the push service says, the journey hears.
func TestPush(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for name, c := range map[string]struct {
		status int
		answer string
		want   authn.Code
	}{
		"mscode":           {0, `{"key":0,"result":false,"errcode":10301}`, authn.ProviderAuth},
		"pushType":         {0, `{"key":0,"result":false,"errcode":10302}`, authn.BadRequest},
		"telno":            {0, `{"key":0,"result":false,"errcode":10303}`, authn.NoCredential},
		"data":             {0, `{"key":0,"result":false,"errcode":"10304"}`, authn.BadRequest},
		"no receiver":      {0, `{"key":0,"result":false,"errcode":10305,"errmsg":"x"}`, authn.NoCredential},
		"insert":           {0, `{"key":0,"result":false,"errcode":10306}`, authn.ProviderDown},
		"unknown":          {0, `{"key":0,"result":false,"errcode":10399}`, authn.ProviderDown},
		"no code":          {0, `{"result":false}`, authn.ProviderDown},
		"result a string":  {0, `{"result":"true"}`, authn.ProviderDown},
		"no JSON":          {0, `<html>`, authn.ProviderDown},
		"doubled":          {0, `{"result":false,"result":true}`, authn.ProviderDown},
		"huge":             {0, `{"result":true,"x":"` + strings.Repeat("x", 20<<10) + `"}`, authn.ProviderDown},
		"500":              {500, `{"result":true}`, authn.ProviderDown},
		"401":              {401, ``, authn.ProviderAuth},
		"a redirect":       {302, `{"result":true}`, authn.ProviderDown},
		"good after all":   {0, ``, ""},
		"good and chatty":  {0, `{"result":true,"more":[1,2]}`, ""},
		"good, no numbers": {0, `{"result":true}`, ""},
	} {
		w.push.mu.Lock()
		w.push.status, w.push.answer = c.status, c.answer
		w.push.mu.Unlock()
		_, err := w.adapter.Begin(t.Context(), w.attempt(mobileid.ProviderMIP), typedIn(citizenName, "1990-03-01"))
		if got := codeOf(t, err); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
		if err != nil && (strings.Contains(err.Error(), "길동") || strings.Contains(err.Error(), "0101")) {
			t.Errorf("%s: personal: %v", name, err)
		}
	}
}

// TestPorts: a port that fails is no fault of the wallet's, and ends the transaction.
func TestPorts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	at := func(path string, f func(w http.ResponseWriter)) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == path {
				f(w)
				return true
			}
			return false
		}
	}
	status := func(n int) func(http.ResponseWriter) { return func(w http.ResponseWriter) { w.WriteHeader(n) } }
	body := func(s string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) { _, _ = w.Write([]byte(s)) }
	}
	for name, c := range map[string]struct {
		path string
		fail func(http.ResponseWriter)
		want authn.Code
	}{
		"ledger 500":        {"/documents", status(500), authn.ProviderDown},
		"ledger 401":        {"/documents", status(401), authn.ProviderAuth},
		"ledger 400":        {"/documents", status(400), authn.BadRequest},
		"ledger no JSON":    {"/documents", body("x"), authn.ProviderDown},
		"ledger no list":    {"/documents", body(`{"documents":{}}`), authn.ProviderDown},
		"ledger bad key":    {"/documents", body(`{"documents":[{"id":"did:x","keys":[{"id":"did:x#k","curve":"secp256r1","point":"AAAA"}]}]}`), authn.ProviderDown},
		"ledger stray key":  {"/documents", body(`{"documents":[{"id":"did:x","keys":[{"id":"did:y#k","curve":"secp256r1","point":"AAAA"}]}]}`), authn.ProviderDown},
		"ledger huge":       {"/documents", body(`{"documents":[],"x":"` + strings.Repeat("x", 600<<10) + `"}`), authn.ProviderDown},
		"ledger redirects":  {"/documents", status(307), authn.ProviderDown},
		"ledger empty":      {"/documents", body(`{"documents":[]}`), authn.BadEvidence},
		"statuses 503":      {"/statuses", status(503), authn.ProviderDown},
		"statuses no list":  {"/statuses", body(`{}`), authn.ProviderDown},
		"statuses no value": {"/statuses", body(`{"statuses":[{"id":"x"}]}`), authn.ProviderDown},
		"statuses empty":    {"/statuses", body(`{"statuses":[]}`), authn.NoCredential},
		"decrypter 500":     {"/decrypt", status(500), authn.ProviderDown},
		"decrypter 422":     {"/decrypt", status(422), authn.BadEvidence},
		"decrypter base64":  {"/decrypt", body(`{"data":"e30="}`), authn.ProviderDown},
		"decrypter empty":   {"/decrypt", body(`{}`), authn.ProviderDown},
	} {
		a, citizen := w.begin(t, byQR), w.newCitizen(t)
		w.institution.failing(at(c.path, c.fail))
		mip := citizen.answer(t, a, switches{})
		w.institution.failing(nil)
		if want := map[bool]int{true: 10100, false: 99999}[c.want == authn.BadEvidence || c.want == authn.NoCredential]; mip != want {
			t.Errorf("%s: the wallet is told %d, want %d", name, mip, want)
		}
		if _, code := a.outcome(t); code != c.want {
			t.Errorf("%s: the journey is told %q, want %q", name, code, c.want)
		}
	}
	for name, c := range map[string]struct {
		fail func(http.ResponseWriter)
		want authn.Code
	}{
		"500":      {status(500), authn.ProviderDown},
		"403":      {status(403), authn.ProviderAuth},
		"no JSON":  {body("x"), authn.ProviderDown},
		"not ours": {body(`{"profile":"` + base64.RawURLEncoding.EncodeToString([]byte(`{"profile":{},"proof":{}}`)) + `"}`), authn.BadRequest},
		"no proof": {body(`{"profile":"` + base64.RawURLEncoding.EncodeToString([]byte(`{"profile":{}}`)) + `"}`), authn.BadRequest},
	} {
		w.institution.failing(at("/profile", c.fail))
		if _, err := w.adapter.Begin(t.Context(), w.attempt(mobileid.ProviderMIP), byQR); codeOf(t, err) != c.want {
			t.Errorf("profile maker, %s: %v, want %s", name, err, c.want)
		}
	}
	w.institution.failing(at("/health", status(403)))
	if err := w.adapter.Check(t.Context()); codeOf(t, err) != authn.ProviderAuth {
		t.Errorf("check: %v", err)
	}
}

// TestSlowPort: a port that does not answer in time is down.
func TestSlowPort(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.patience = 50 * time.Millisecond
	w.institution.failing(func(_ http.ResponseWriter, r *http.Request) bool {
		_, _ = io.Copy(io.Discard, r.Body) // so that the server notices who leaves
		<-r.Context().Done()
		return true
	})
	if _, err := w.open(t).Begin(t.Context(), w.attempt(mobileid.ProviderMIP), byQR); codeOf(t, err) != authn.ProviderDown {
		t.Errorf("slow: %v", err)
	}
}

// TestProfile: the profile is held to what was ordered, and only a number that the phone shows is shown.
func TestProfile(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for name, c := range map[string]struct {
		edit func(p doc)
		want authn.Code
	}{
		"another nonce":    {func(p doc) { p["nonce"] = strings.Repeat("0", 64) }, authn.BadRequest},
		"another callback": {func(p doc) { p["callBackUrl"] = "https://other.example/mip/vp" }, authn.BadRequest},
		"ZKP":              {func(p doc) { p["presentType"] = 2 }, authn.BadRequest},
		"not encrypted":    {func(p doc) { p["encryptType"] = 0 }, authn.BadRequest},
		"no key type":      {func(p doc) { delete(p, "keyType") }, authn.BadRequest},
		"unknown authType": {func(p doc) { p["authType"] = []string{"iris"} }, authn.BadRequest},
		"another type":     {func(p doc) { p["type"] = "ISSUE" }, authn.BadRequest},
		"no number":        {func(p doc) { p["name"] = "정부 통합로그인" }, ""},
		"another number":   {func(p doc) { p["name"] = "정부 통합로그인 [00]" }, ""},
	} {
		w.institution.edit = c.edit
		started, err := w.adapter.Begin(t.Context(), w.attempt(mobileid.ProviderMIP), byQR)
		if codeOf(t, err) != c.want || started.Shown.Code != "" {
			t.Errorf("%s: %v, %q", name, err, started.Shown.Code)
		}
	}
}

// racers is how many send one answer, over two instances.
const racers = 64

// race lets all racers run at once, and counts those who won.
func race(run func(i int) bool) int {
	var wg sync.WaitGroup
	var won atomic.Int64
	start := make(chan struct{})
	for i := range racers {
		wg.Go(func() {
			<-start
			if run(i) {
				won.Add(1)
			}
		})
	}
	close(start)
	wg.Wait()
	return int(won.Load())
}

// TestOneWinner: of many M310, M400 and completions of one transaction, on every kind of store and on two instances,
// one wins.
func TestOneWinner(t *testing.T) {
	t.Parallel()
	storagetest.EachStack(t, func(t *testing.T, open func(func() time.Time) storagetest.Stack) {
		w := newWorld(t, open(time.Now).KV)
		second := http.NewServeMux()
		w2 := &world{t: t, store: open(time.Now).KV, institution: w.institution, push: w.push, standard: w.standard, server: w.server, log: w.log, patience: w.patience}
		instances := []*mobileid.Adapter{w.adapter, w2.open(t)}
		instances[1].Serve(second)
		hosts := []string{w.server.URL, serve(t, second)}

		a, c := w.begin(t, byQR), w.newCitizen(t)
		_, trxcode := a.scanned(t)
		var nonce atomic.Value
		if n := race(func(i int) bool {
			profile, code := fetch(t, hosts[i%2], trxcode)
			if code == 0 {
				nonce.Store(profile["nonce"])
			} else if code != 10201 {
				t.Errorf("M310: %d", code)
			}
			return code == 0
		}); n != 1 {
			t.Fatalf("%d profiles", n)
		}
		vp := c.present(t, w, nonce.Load().(string), switches{})
		if n := race(func(i int) bool {
			_, code := say(t, hosts[i%2]+"/mip/vp", message("400", trxcode, doc{"request": "presentation", "vp": vp}))
			if code != 0 && code != 10201 {
				t.Errorf("M400: %d", code)
			}
			return code == 0
		}); n != 1 {
			t.Errorf("%d presentations", n)
		}
		if n := race(func(i int) bool {
			_, err := instances[i%2].Complete(t.Context(), a.Attempt)
			if code := codeOf(t, err); code != "" && code != authn.AlreadyUsed {
				t.Errorf("complete: %v", err)
			}
			return err == nil
		}); n != 1 {
			t.Errorf("%d results", n)
		}
	})
}

// TestNothingPersonal: a record in the store, and the log, hold nothing that names the citizen.
func TestNothingPersonal(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	spy := &spyStore{Store: w.store}
	w.store = spy
	mux := http.NewServeMux()
	w.adapter = w.open(t)
	w.adapter.Serve(mux)
	w.server.Config.Handler = mux
	c := w.newCitizen(t)
	for _, s := range []switches{{}, {signed: func(vp doc) { vp["id"] = "x" }}} {
		a := w.begin(t, typedIn(citizenName, "1990-03-01"))
		c.answer(t, a, s)
		a.outcome(t)
	}
	kept := spy.text() + w.log.String()
	for _, personal := range []string{citizenName, "19900301", "1990-03-01", c.ci, hex.EncodeToString([]byte(c.ci)), "01012345678", c.did} {
		if strings.Contains(kept, personal) {
			t.Errorf("%q is kept", personal)
		}
	}
}

// TestConfiguration: what cannot work is refused, all of it at once.
func TestConfiguration(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for name, edit := range map[string]func(*mobileid.Config){
		"no issuer":       func(c *mobileid.Config) { c.Issuer = "" },
		"plain http":      func(c *mobileid.Config) { c.Issuer = "http://id.example" },
		"nothing":         func(c *mobileid.Config) { c.MIP, c.OpenID4VP = nil, nil },
		"levels":          func(c *mobileid.Config) { c.PINLevel = 4 },
		"too long":        func(c *mobileid.Config) { c.ExpireIn = time.Hour },
		"no service":      func(c *mobileid.Config) { c.MIP.Service = "" },
		"no issuers":      func(c *mobileid.Config) { c.MIP.Issuers = nil },
		"issuer no DID":   func(c *mobileid.Config) { c.MIP.Issuers = []string{"x"} },
		"no cards":        func(c *mobileid.Config) { c.MIP.Cards = nil },
		"card":            func(c *mobileid.Config) { c.MIP.Cards = []mobileid.Card{{Code: "x"}} },
		"auth type":       func(c *mobileid.Config) { c.MIP.AuthTypes = []string{"iris"} },
		"push URL":        func(c *mobileid.Config) { c.MIP.PushURL = "ftp://x" },
		"push code":       func(c *mobileid.Config) { c.MIP.PushCode = "" },
		"image":           func(c *mobileid.Config) { c.MIP.Image = make([]byte, 40<<10) },
		"no key":          func(c *mobileid.Config) { c.OpenID4VP.Key = nil },
		"no chain":        func(c *mobileid.Config) { c.OpenID4VP.Chain = []byte("x") },
		"DNS name":        func(c *mobileid.Config) { c.OpenID4VP.DNSName = "other.example" },
		"no credentials":  func(c *mobileid.Config) { c.OpenID4VP.Credentials = nil },
		"id twice":        func(c *mobileid.Config) { c.OpenID4VP.Credentials[1].ID = c.OpenID4VP.Credentials[0].ID },
		"format":          func(c *mobileid.Config) { c.OpenID4VP.Credentials[0].Format = "jwt_vc" },
		"no vct":          func(c *mobileid.Config) { c.OpenID4VP.Credentials[0].Type = "" },
		"no name":         func(c *mobileid.Config) { c.OpenID4VP.Credentials[0].Claims.Name = nil },
		"CI and key":      func(c *mobileid.Config) { c.OpenID4VP.Credentials[0].Claims.Key = "sub" },
		"neither":         func(c *mobileid.Config) { c.OpenID4VP.Credentials[1].Claims.Key = "" },
		"no roots":        func(c *mobileid.Config) { c.OpenID4VP.IssuerRoots = nil },
		"no mdoc roots":   func(c *mobileid.Config) { c.OpenID4VP.MdocRoots = nil },
		"status roots":    func(c *mobileid.Config) { c.OpenID4VP.StatusRoots = []byte("x") },
		"mdoc path short": func(c *mobileid.Config) { c.OpenID4VP.Credentials[1].Claims.BirthDate = "birth_date" },
		"wallet":          func(c *mobileid.Config) { c.OpenID4VP.Wallet = "javascript:" },
	} {
		cfg := mobileid.Config{
			Issuer: w.server.URL, OpenID4VP: w.standard.config(),
			MIP: &mobileid.MIP{Service: "s", Key: "k", Issuers: []string{issuer}, Cards: []mobileid.Card{{Code: "c", Label: "l"}}, PushURL: "https://push.example/x", PushCode: "m"},
		}
		edit(&cfg)
		if _, err := mobileid.New(cfg, w.deps(t)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	for name, construct := range map[string]func() error{
		"port http": func() error {
			_, err := mobileid.NewSidecar("http://id.example", portKey, 0, http.DefaultClient)
			return err
		},
		"port key": func() error {
			_, err := mobileid.NewSidecar("https://id.example", "short", 0, http.DefaultClient)
			return err
		},
		"no client": func() error { _, err := mobileid.NewSidecar("https://id.example", portKey, 0, nil); return err },
		"no ports": func() error {
			d := w.deps(t)
			d.Ports = mobileid.Ports{}
			_, err := mobileid.New(mobileid.Config{Issuer: w.server.URL, MIP: &mobileid.MIP{}}, d)
			return err
		},
		"nothing": func() error { _, err := mobileid.New(mobileid.Config{}, mobileid.Deps{}); return err },
		"no OpenID4": func() error {
			_, err := w.open(t, func(c *mobileid.Config) { c.OpenID4VP = nil }).Returned(t.Context(), "x")
			return err
		},
	} {
		if construct() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := w.adapter.Begin(t.Context(), w.attempt("other"), authn.Input{Provider: "other", Mode: authn.QR}); codeOf(t, err) != authn.BadRequest {
		t.Errorf("another provider: %v", err)
	}
	if _, err := w.adapter.Status(t.Context(), w.attempt("other")); codeOf(t, err) != authn.BadRequest {
		t.Errorf("another provider: %v", err)
	}
	if _, err := w.adapter.Complete(t.Context(), w.attempt("other")); codeOf(t, err) != authn.BadRequest {
		t.Errorf("another provider: %v", err)
	}
	for _, provider := range []string{mobileid.ProviderMIP, mobileid.ProviderOpenID4VP} {
		at := w.attempt(provider)
		at.Private = []byte("{}")
		if _, err := w.adapter.Complete(t.Context(), at); codeOf(t, err) != authn.BadRequest {
			t.Errorf("no handle: %v", err)
		}
	}
}
