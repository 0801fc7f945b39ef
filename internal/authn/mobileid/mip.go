package mobileid

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/anyid/anyid/internal/authn"
	"github.com/anyid/anyid/internal/method"
)

// MIP is an institution's registration with the national service.
type MIP struct {
	// Service is the svcCode under which it is registered.
	Service string
	// Issuers are the DIDs whose credentials are taken.
	Issuers []string
	// Cards are the kinds of ID that are taken.
	Cards []Card
	// Attributes are the names that attributes have in credentials.
	Attributes AttributeNames
	// AuthTypes are how the holder must have shown that it is them, beside what the profile asks: "pin",
	// "bio", "face".
	AuthTypes []string
	// Key names the private key that opens presentations, for the decrypter.
	Key string
	// PushURL is the address of the push service, such as
	// https://psh.mobileid.go.kr:8443/api/sendVPAPI.do, and PushCode the mscode that it knows the institution
	// by. Empty: no pushes.
	PushURL, PushCode string
	// Image is the institution's picture for the wallet, at most 32 KiB; nil: none.
	Image []byte
	// ClientScheme is what the app link names as the way back; empty: nothing.
	ClientScheme string
}

// Card is a kind of ID, known by the code of its assertion.
type Card struct {
	Code        string // assertion.code of its credentials
	Label       string // as the citizen knows it: "모바일 운전면허증"
	Nationality string // "domestic" or "foreign", where only such people have it; else empty
}

// AttributeNames are the types of attributes in credentials. Empty ones have the default.
type AttributeNames struct {
	Name        string // "name"
	BirthDate   string // "birth"
	Gender      string // "sex"
	Nationality string // "nationality"
}

const (
	pushTimeout   = 5 * time.Second
	verifyTimeout = 10 * time.Second // all that a presentation takes; the journey waits twice as long for a step
	maxPushAnswer = 16 << 10
	maxSmallBody  = 16 << 10
	maxImage      = 32 << 10
	maxLabel      = 60
)

// trxcodes are ours: the time to the millisecond, and 128 random bits.
var trxcodes = regexp.MustCompile(`^[0-9]{17}[0-9a-f]{32}$`)

// mip asks the wallets of the national service.
type mip struct {
	cfg      MIP
	issuer   string
	expireIn time.Duration
	level    method.Level
	pinLevel method.Level
	deps     Deps
	ways     []authn.Mode
}

func newMIP(cfg Config, deps Deps) (*mip, error) {
	m := &mip{
		cfg: *cfg.MIP, issuer: cfg.Issuer, expireIn: cfg.ExpireIn, level: cfg.Level, pinLevel: cfg.PINLevel, deps: deps,
		ways: []authn.Mode{authn.QR, authn.App},
	}
	names := &m.cfg.Attributes
	for _, n := range []struct {
		name  *string
		value string
	}{{&names.Name, "name"}, {&names.BirthDate, "birth"}, {&names.Gender, "sex"}, {&names.Nationality, "nationality"}} {
		if *n.name == "" {
			*n.name = n.value
		}
	}
	var errs []error
	if deps.Ports.Ledger == nil || deps.Ports.Profiles == nil || deps.Ports.Decrypter == nil {
		errs = append(errs, errors.New("MIP needs a ledger, a profile maker and a decrypter"))
	}
	if m.cfg.Service == "" || m.cfg.Key == "" {
		errs = append(errs, errors.New("MIP needs Service and Key"))
	}
	if len(m.cfg.Issuers) == 0 || slices.ContainsFunc(m.cfg.Issuers, func(did string) bool { return !dids.MatchString(did) }) {
		errs = append(errs, errors.New("MIP needs Issuers, each a DID"))
	}
	if len(m.cfg.Cards) == 0 {
		errs = append(errs, errors.New("MIP needs Cards"))
	}
	for _, c := range m.cfg.Cards {
		if c.Code == "" || c.Label == "" || len(c.Label) > maxLabel || c.Nationality != "" && c.Nationality != domestic && c.Nationality != foreign {
			errs = append(errs, fmt.Errorf("the card %q needs a code, a label of at most %d bytes, and nationality domestic, foreign or none", c.Code, maxLabel))
		}
	}
	for _, kind := range m.cfg.AuthTypes {
		if !slices.Contains(authTypes, kind) {
			errs = append(errs, fmt.Errorf("AuthTypes: %q is none of %q", kind, authTypes))
		}
	}
	if len(m.cfg.Image) > maxImage {
		errs = append(errs, fmt.Errorf("the Image has more than %d bytes", maxImage))
	}
	if m.cfg.PushURL != "" {
		if err := checkURL("PushURL", m.cfg.PushURL); err != nil {
			errs = append(errs, err)
		}
		if m.cfg.PushCode == "" {
			errs = append(errs, errors.New("PushURL needs PushCode"))
		}
		m.ways = append([]authn.Mode{authn.Push}, m.ways...)
	}
	return m, errors.Join(errs...)
}

func (m *mip) provider() authn.Provider {
	return authn.Provider{ID: ProviderMIP, Korean: "모바일 신분증", English: "Mobile ID"}
}

func (m *mip) modes() []authn.Mode { return m.ways }

// check asks those ports that can be asked.
func (m *mip) check(ctx context.Context) error {
	for _, port := range []any{m.deps.Ports.Ledger, m.deps.Ports.Profiles, m.deps.Ports.Decrypter} {
		if c, ok := port.(authn.Checker); ok {
			if err := c.Check(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// mipHandle is what the journey keeps, sealed.
type mipHandle struct {
	Trxcode string      `json:"trxcode"`
	Typed   typedPerson `json:"typed"`
}

func newTrxcode(now time.Time) string {
	var random [16]byte
	_, _ = rand.Read(random[:])
	return strings.Replace(now.In(authn.Korea).Format("20060102150405.000"), ".", "", 1) + hex.EncodeToString(random[:])
}

// mipNonceOf is the nonce of the profile: it follows from the attempt's, so that a result names its attempt.
func mipNonceOf(at authn.Attempt) string {
	sum := sha256.Sum256([]byte("mip " + at.Nonce))
	return hex.EncodeToString(sum[:])
}

// matchCodeOf is the number to match, 10 to 99.
func matchCodeOf(at authn.Attempt) string {
	sum := sha256.Sum256([]byte("match " + at.Nonce))
	return strconv.Itoa(10 + (int(sum[0])<<8|int(sum[1]))%90)
}

// begin stores a transaction with its profile, and tells the wallet of it.
func (m *mip) begin(ctx context.Context, at authn.Attempt, in authn.Input) (authn.Started, error) {
	now := m.deps.Now()
	deadline := now.Add(m.expireIn)
	if !at.ExpiresAt.IsZero() && at.ExpiresAt.Before(deadline) {
		deadline = at.ExpiresAt
	}
	nonce, code := mipNonceOf(at), matchCodeOf(at)
	text, err := m.deps.Ports.Profiles.MakeProfile(ctx, ProfileRequest{
		Service: m.cfg.Service, Nonce: nonce, Callback: m.issuer + "/mip/vp", Code: code,
	})
	if err != nil {
		return authn.Started{}, err
	}
	p, err := m.parseProfile(text, nonce)
	if err != nil {
		return authn.Started{}, &authn.Error{Code: authn.BadRequest, Err: err}
	}
	trxcode := newTrxcode(now)
	t := transaction{
		State: stateRequested, Nonce: nonce, Mode: in.Mode, Profile: base64.RawURLEncoding.EncodeToString(text),
		EncryptType: p.encryptType, KeyType: p.keyType, AuthTypes: p.authTypes, Deadline: deadline,
	}
	if err := m.add(ctx, trxcode, t); err != nil {
		return authn.Started{}, &authn.Error{Code: authn.ProviderDown, Err: err}
	}
	out := authn.Started{ExpiresAt: deadline.Add(pickUp), PollAfter: pollAfter}
	if strings.HasSuffix(p.name, " ["+code+"]") {
		out.Shown.Code = code
	}
	private, err := json.Marshal(mipHandle{Trxcode: trxcode, Typed: typedBy(at, in)})
	if err != nil {
		return authn.Started{}, &authn.Error{Code: authn.BadRequest, Err: err}
	}
	out.Private = private
	message := start{header: newHeader(cmdStart, trxcode), Mode: "direct", CI: true, Host: m.issuer}
	if m.cfg.Image != nil {
		message.Image = "link"
	}
	data, err := encode(message)
	if err != nil {
		return authn.Started{}, &authn.Error{Code: authn.BadRequest, Err: err}
	}
	switch in.Mode {
	case authn.QR:
		out.Shown.QR = data
	case authn.App:
		out.Shown.Link = m.link(data)
	default:
		if err := m.push(ctx, in, data); err != nil {
			m.forget(ctx, trxcode)
			return authn.Started{}, err
		}
	}
	return out, nil
}

// link opens the app on the device that shows the page.
func (m *mip) link(data string) string {
	link := "mobileid://verify?data_type=byte&mode=direct&data=" + data
	if m.cfg.ClientScheme != "" {
		link += "&clientScheme=" + url.QueryEscape(m.cfg.ClientScheme)
	}
	return link
}

// push asks the push service to send M200 to the phone.
func (m *mip) push(ctx context.Context, in authn.Input, data string) error {
	text, err := json.Marshal(pushMessage{
		Code: m.cfg.PushCode, Type: pushType, Phone: in.Phone, Name: in.Name, Birth: strings.ReplaceAll(in.BirthDate, "-", ""), Data: data,
	})
	if err == nil {
		// One passage of the specification demands padding here, and none forbids it.
		text, err = json.Marshal(map[string]string{"data": base64.URLEncoding.EncodeToString(text)})
	}
	if err != nil {
		return &authn.Error{Code: authn.BadRequest, Err: errJSON}
	}
	ctx, cancel := context.WithTimeout(ctx, pushTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, m.cfg.PushURL, bytes.NewReader(text))
	if err != nil {
		return &authn.Error{Code: authn.BadRequest, Err: err}
	}
	req.Header.Set("Content-Type", "application/json; charset=UTF-8")
	status, answer, err := do(m.deps.HTTP, req, maxPushAnswer)
	if err != nil {
		return &authn.Error{Code: authn.ProviderDown, Err: fmt.Errorf("mobileid: push: %w", err)}
	}
	return parsePushAnswer(status, answer)
}

// profile is what a profile asks of the wallet.
type profile struct {
	name                 string
	encryptType, keyType int
	authTypes            []string
}

// parseProfile reads what the profile maker has made, and holds it to what was ordered.
func (m *mip) parseProfile(text []byte, nonce string) (profile, error) {
	o, err := parseObject(text)
	if err != nil {
		return profile{}, err
	}
	inner := o.object("profile")
	if o.object("proof") == nil || inner == nil {
		return profile{}, errors.New("mobileid: the profile has no content or no proof")
	}
	var p profile
	p.name, _ = inner.text("name")
	kind, _ := inner.text("type")
	got, _ := inner.text("nonce")
	callback, _ := inner.text("callBackUrl")
	presentType, _ := inner.integer("presentType")
	var encryptOK, keyOK, authOK bool
	p.encryptType, encryptOK = inner.integer("encryptType")
	p.keyType, keyOK = inner.integer("keyType")
	p.authTypes, authOK = inner.texts("authType")
	switch {
	case kind != "VERIFY" || presentType != 1 || got != nonce || callback != m.issuer+"/mip/vp":
		return profile{}, errors.New("mobileid: the profile is not the one that was ordered: type, presentType, nonce or callBackUrl")
	case !encryptOK || p.encryptType < 1 || p.encryptType > 2 || !keyOK || p.keyType < 0 || p.keyType > 2:
		return profile{}, errors.New("mobileid: the profile's encryptType or keyType is not taken")
	case !authOK || slices.ContainsFunc(p.authTypes, func(s string) bool { return !slices.Contains(authTypes, s) }):
		return profile{}, errors.New("mobileid: the profile's authType is not taken")
	}
	for _, kind := range m.cfg.AuthTypes {
		if !slices.Contains(p.authTypes, kind) {
			return profile{}, errors.New("mobileid: the profile does not ask for an authType that is demanded here")
		}
	}
	return p, nil
}

// handle reads what begin returned.
func (m *mip) handle(at authn.Attempt) (mipHandle, error) {
	var h mipHandle
	if json.Unmarshal(at.Private, &h) != nil || !trxcodes.MatchString(h.Trxcode) {
		return h, &authn.Error{Code: authn.BadRequest, Err: errors.New("mobileid: no handle of ours")}
	}
	return h, nil
}

// find loads the attempt's transaction.
func (m *mip) find(ctx context.Context, at authn.Attempt) (h mipHandle, t transaction, text string, err error) {
	if h, err = m.handle(at); err != nil {
		return h, t, "", err
	}
	t, text, err = m.load(ctx, h.Trxcode)
	switch {
	case errors.Is(err, errNoTransaction):
		err = &authn.Error{Code: authn.TooLate, Err: err}
	case err != nil:
		err = &authn.Error{Code: authn.ProviderDown, Err: err}
	case t.Nonce != mipNonceOf(at):
		err = &authn.Error{Code: authn.BadEvidence, Err: errors.New("mobileid: the transaction is another attempt's")}
	}
	return h, t, text, err
}

func (m *mip) status(ctx context.Context, at authn.Attempt) (authn.Progress, error) {
	_, t, _, err := m.find(ctx, at)
	if e, ok := errors.AsType[*authn.Error](err); ok && e.Code == authn.TooLate {
		return authn.Progress{State: authn.Expired}, nil
	}
	if err != nil {
		return authn.Progress{}, err
	}
	return authn.Progress{State: t.progress(m.deps.Now())}, nil
}

// complete takes the result. Of any number of callers one gets it.
func (m *mip) complete(ctx context.Context, at authn.Attempt) (authn.Evidence, error) {
	h, t, text, err := m.find(ctx, at)
	if err != nil {
		return authn.Evidence{}, err
	}
	switch t.State {
	case stateVerified:
	case stateError:
		return authn.Evidence{}, &authn.Error{Code: t.Code, Provider: strconv.Itoa(t.MIP)}
	case stateConsumed:
		return authn.Evidence{}, &authn.Error{Code: authn.AlreadyUsed}
	default:
		if t.progress(m.deps.Now()) == authn.Expired {
			return authn.Evidence{}, &authn.Error{Code: authn.TooLate}
		}
		return authn.Evidence{}, &authn.Error{Code: authn.NotReady}
	}
	sealed := t.Evidence
	t.State, t.Evidence = stateConsumed, ""
	moved, err := m.move(ctx, h.Trxcode, text, t)
	switch {
	case err != nil:
		return authn.Evidence{}, &authn.Error{Code: authn.Indeterminate, Err: err}
	case !moved:
		return authn.Evidence{}, &authn.Error{Code: authn.AlreadyUsed}
	}
	e, err := openEvidence(m.deps.Box, sealed, recordOf(h.Trxcode))
	if err != nil {
		return authn.Evidence{}, err
	}
	if !h.Typed.agrees(at, e.Attributes) {
		return authn.Evidence{}, &authn.Error{Code: authn.PersonMismatch}
	}
	return e, nil
}

func (m *mip) serve(mux *http.ServeMux) {
	mux.HandleFunc("POST /mip/profile", m.serves(cmdProfile, maxSmallBody, m.giveProfile))
	mux.HandleFunc("POST /mip/image", m.serves(cmdImage, maxSmallBody, m.giveImage))
	mux.HandleFunc("POST /mip/vp", m.serves(cmdPresent, MaxBody, m.takePresentation))
	mux.HandleFunc("POST /mip/error", m.serves(cmdError, maxSmallBody, m.takeError))
}

// serves answers a command: with what handle returns, nil for nothing, or with M900.
func (m *mip) serves(command string, limit int64, handle func(ctx context.Context, trxcode string, message object) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := readBody(w, r, limit)
		var message object
		var trxcode string
		if err == nil {
			message, trxcode, err = parseRequest(body, command)
		}
		var reply any
		if err == nil {
			// A wallet that hangs up leaves nothing half done.
			ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), verifyTimeout)
			defer cancel()
			reply, err = handle(ctx, trxcode, message)
		}
		var data string
		if err == nil && reply != nil {
			data, err = encode(reply)
		}
		if err == nil {
			answer(w, mipAnswer{Result: true, Data: data})
			return
		}
		refused, ok := errors.AsType[*mipRefused](err)
		if !ok {
			m.deps.Log.LogAttrs(r.Context(), slog.LevelError, "mobileid: wallet not served", slog.String("command", command), slog.Any("error", err))
			refused = &mipRefused{mip: mipOther}
		}
		answerError(w, trxcode, refused.mip)
	}
}

// open loads a transaction that may still be answered, for a wallet.
func (m *mip) open(ctx context.Context, trxcode string) (transaction, string, error) {
	t, text, err := m.load(ctx, trxcode)
	switch {
	case errors.Is(err, errNoTransaction):
		return t, "", refuse(mipUnknown, "no such trxcode")
	case err != nil:
		return t, "", err
	case !m.deps.Now().Before(t.Deadline):
		return t, "", refuse(mipTimeout, "too late")
	}
	return t, text, nil
}

// claim moves a transaction on from a state, for one caller.
func (m *mip) claim(ctx context.Context, trxcode, text string, t transaction) error {
	moved, err := m.move(ctx, trxcode, text, t)
	if err == nil && !moved {
		return refuse(mipSequence, "another message came first")
	}
	return err
}

// giveProfile answers M310, once in a transaction.
func (m *mip) giveProfile(ctx context.Context, trxcode string, message object) (any, error) {
	if err := requests(message, "profile"); err != nil {
		return nil, err
	}
	t, text, err := m.open(ctx, trxcode)
	if err != nil {
		return nil, err
	}
	if t.State != stateRequested {
		return nil, refuse(mipSequence, "the profile was given before")
	}
	given := t.Profile
	t.State, t.Profile = stateProfile, ""
	if err := m.claim(ctx, trxcode, text, t); err != nil {
		return nil, err
	}
	return struct {
		header
		Profile string `json:"profile"`
	}{newHeader(cmdProfile, trxcode), given}, nil
}

// giveImage answers M320; it changes nothing.
func (m *mip) giveImage(ctx context.Context, trxcode string, message object) (any, error) {
	if err := requests(message, "image"); err != nil {
		return nil, err
	}
	t, _, err := m.open(ctx, trxcode)
	if err != nil {
		return nil, err
	}
	if m.cfg.Image == nil || t.State != stateRequested && t.State != stateProfile {
		return nil, refuse(mipSequence, "no image is offered")
	}
	return struct {
		header
		Image string `json:"image"`
	}{newHeader(cmdImage, trxcode), base64.RawURLEncoding.EncodeToString(m.cfg.Image)}, nil
}

// requests refuses a message that does not say what it is for.
func requests(message object, what string) error {
	switch got, ok := message.text("request"); {
	case !ok:
		return refuse(mipMissing, "no request")
	case got != what:
		return refuse(mipData, "another request")
	}
	return nil
}

// takePresentation answers M400. The first one uses the transaction up, whatever is in it.
func (m *mip) takePresentation(ctx context.Context, trxcode string, message object) (any, error) {
	if err := requests(message, "presentation"); err != nil {
		return nil, err
	}
	vp := message.object("vp")
	if vp == nil {
		return nil, refuse(mipMissing, "no vp")
	}
	t, text, err := m.open(ctx, trxcode)
	if err != nil {
		return nil, err
	}
	if t.State != stateProfile {
		return nil, refuse(mipSequence, "no presentation is awaited")
	}
	t.State = stateVerifying
	if err := m.claim(ctx, trxcode, text, t); err != nil {
		return nil, err
	}
	if text, err = t.encode(); err != nil {
		return nil, err
	}
	e, refused := m.verify(ctx, &t, vp)
	if refused == nil {
		t.State = stateVerified
		if t.Evidence, err = sealEvidence(m.deps.Box, e, recordOf(trxcode)); err != nil {
			return nil, err
		}
	} else {
		t.State, t.Code, t.MIP = stateError, refused.code, refused.mip
		m.deps.Log.LogAttrs(ctx, slog.LevelWarn, "mobileid: presentation refused", slog.Int("mip", refused.mip), slog.Any("error", refused))
	}
	if moved, err := m.move(ctx, trxcode, text, t); err != nil || !moved {
		return nil, errors.Join(errors.New("mobileid: the outcome was not stored"), err)
	}
	if refused != nil {
		return nil, refused
	}
	return nil, nil //nolint:nilnil // an answer without data
}

// takeError answers M900: the wallet has given up.
func (m *mip) takeError(ctx context.Context, trxcode string, message object) (any, error) {
	code, ok := message.integer("errcode")
	if !ok || !message.has("errmsg") {
		return nil, refuse(mipMissing, "no errcode or errmsg")
	}
	t, text, err := m.open(ctx, trxcode)
	if err != nil {
		return nil, err
	}
	if t.State == stateRequested || t.State == stateProfile {
		t.State, t.Profile, t.Code, t.MIP = stateError, "", walletError(code), code
		if _, err := m.move(ctx, trxcode, text, t); err != nil {
			return nil, err
		}
	}
	return nil, nil //nolint:nilnil // an answer without data
}
