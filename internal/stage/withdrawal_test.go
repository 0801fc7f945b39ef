package stage

import (
	"database/sql"
	"errors"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/anyid/anyid/internal/account"
	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/browse"
	"github.com/anyid/anyid/internal/chromium"
	"github.com/anyid/anyid/internal/kv"
	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/internal/person"
	"github.com/anyid/anyid/internal/secret"
	"github.com/anyid/anyid/internal/session"
)

// TestWithdrawal goes through part 4 of Q-Net's guide with its words: at the end both sites have signed the person out,
// nothing of the person is in the stores, and who comes again registers anew, as a new person.
func TestWithdrawal(t *testing.T) {
	onEach(t, func(t *testing.T, p *play) {
		a := p.actor(t, member, chromium.Options{})
		a.join()
		a.goToPortal()
		a.signedIn(a.s.PetitionURL)
		before := a.s.subject(t, a.Person, "qnet")
		token := p.heard.last(t, "qnet", before).AccessToken
		if status := a.s.userinfo(t, token); status != http.StatusOK {
			t.Errorf("userinfo answers %d before", status)
		}
		email := "w" + a.Phone + "@example.kr"
		must(t, a.s.App.Account.SetSettings(t.Context(), a.s.visitor(t, a.Person), person.Settings{Email: email}))

		b := a.elsewhere()
		b.goToQNet()
		b.says("로그인 방식을 선택해주세요.", "정부 통합로그인은 한 번의 로그인으로 연계된 모든 공공 웹서비스를 이용할 수 있는 인증 서비스입니다.",
			"아직 정부 통합인증(Any-ID) 사용자가 아니신가요?", "사용자 등록", "정부 통합인증(Any-ID) 사용자 관리")
		b.Follow("link-manage")
		b.says("정부 통합인증(Any-ID) 사용자 관리", "본인 확인", "모바일 신분증", "간편인증", "휴대폰 인증", "아이핀", "닫기")
		b.Follow("verify-simple")
		b.Click("provider-kakao")
		b.Fill("name", b.Name)
		b.Fill("birthdate", b.BirthDate)
		b.Fill("phone", b.Phone)
		b.Follow("request-auth")
		b.Wait("auth-complete")
		b.says("인증을 진행해 주세요.", "입력하신 휴대폰으로 인증요청메시지를 보냈습니다. 메시지를 받지 못했다면 사용자정보(이름, 생년월일 또는 주민등록번호, 휴대폰번호)를 확인 후 다시 시도해주세요.",
			"STEP1", "STEP2", "STEP3", "인증 완료 후 하단의 인증 완료 클릭", "문제 발생시 조치방법", "닫기", "인증 완료")
		b.approve()
		b.Wait("manage-withdraw") // by itself
		b.says("정부 통합인증(Any-ID) 사용자 관리", "사용자 정보와 이용사이트 등록 정보를 확인하세요.", "정보 수정", "이용사이트 현황", "인증 이력", "등록 해지", "닫기")
		b.Follow("manage-withdraw")
		b.says("등록 해지", "사용자 등록 해지는 즉시 처리되며, 정부 통합인증(Any-ID) 이용정보는 모두 삭제됩니다.",
			"해지 후 정부 통합인증(Any-ID) 이용 시 사용자 등록을 다시 하셔야 합니다.", "닫기")
		b.reads("withdraw", "등록해지")
		b.Follow("withdraw")
		b.says("등록해지하시겠습니까?")
		b.reads("withdraw-confirm", "확인")
		b.reads("withdraw-cancel", "취소")
		b.Follow("withdraw-cancel")
		b.Wait("withdraw")
		a.Open(a.s.QNetURL + "/my")
		a.signedIn(a.s.QNetURL)

		traces := a.s.traces(t, a.Person, append(of(a.Person), email)...)
		b.Follow("withdraw")
		b.Follow("withdraw-confirm")
		b.Wait("withdraw-done")
		b.says("정부 통합인증(Any-ID) 사용자 관리", "사용자 등록 해지 완료", "사용자 등록 해지가 정상적으로 처리되었습니다.", "닫기")
		b.receipt(map[string]string{"큐넷(Q-Net)": "로그아웃 확인", "민원마당": "로그아웃 확인"})
		p.retained(t, b, traces)

		a.signedOutElsewhere(a.s.QNetURL)
		a.signedOutElsewhere(a.s.PetitionURL)
		if status := a.s.userinfo(t, token); status != http.StatusUnauthorized {
			t.Errorf("userinfo answers %d afterwards", status)
		}
		messages, err := a.s.Inbox.Wait(t.Context(), email, 1)
		must(t, err)
		if last := messages[len(messages)-1]; !strings.Contains(last.Subject, "해지") || last.Link != "" || strings.Contains(last.Text, "/not-me") {
			t.Errorf("told of the end by %q", last.Subject)
		}
		p.forgotten(t, traces)
		b.Follow("manage-close")
		b.Open(b.s.BrokerURL + "/manage")
		b.Wait("verify-simple")

		// Nobody knows the person any more, but Q-Net, whose member they are.
		a.goToQNet()
		a.asked()
		a.request("kakao")
		a.approve()
		a.Wait("register")
		a.agree()
		a.Follow("consent-allow")
		a.signedIn(a.s.QNetURL)
		after := a.s.subject(t, a.Person, "qnet")
		if after == before {
			t.Error("Q-Net is told that it is the same person")
		}
		p.heard.last(t, "qnet", after)
		a.reads("member-id", a.QNetID)
	})
}

// TestWithdrawalByEachWay withdraws after each other way of proving who one is, without scripts.
func TestWithdrawalByEachWay(t *testing.T) {
	t.Parallel()
	for i, by := range []method.Method{method.MobileID, method.Phone, method.IPIN} {
		t.Run(string(by), func(t *testing.T) {
			onEach(t, func(t *testing.T, p *play) {
				ctx := t.Context()
				who := p.person(t, newcomer)
				address := net.IPv4(127, 77, byte(slices.Index(plays, p)), byte(1+i))
				at := func() *Citizen {
					dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: address}}
					browser, err := browse.New(&http.Client{Transport: &http.Transport{DialContext: dialer.DialContext}, Timeout: time.Minute})
					must(t, err)
					return &Citizen{Browser: browser, Person: who, stage: p.stage}
				}
				first := at()
				must(t, errors.Join(first.Open(ctx, p.stage.PetitionURL+"/anyid/start"), first.Prove(ctx, "kakao"), first.Agree(ctx)))
				if got := first.Text("signed-in-name"); got != who.Name {
					t.Fatalf("signed in as %q at %s", got, first.URL())
				}
				c := at()
				must(t, c.Open(ctx, p.stage.BrokerURL+"/manage/withdraw"))
				c.verify(t, by)
				must(t, errors.Join(c.Click(ctx, "withdraw"), c.Click(ctx, "withdraw-cancel"), c.Click(ctx, "withdraw")))
				traces := p.stage.traces(t, who, append(of(who), address.String())...)
				must(t, c.Click(ctx, "withdraw-confirm"))
				if !c.Has("withdraw-done") {
					t.Fatalf("at %s (%d): %s", c.URL().Path, c.Status(), c.Text("main"))
				}
				must(t, c.Open(ctx, p.stage.BrokerURL+"/manage"))
				if !c.Has("verify-simple") {
					t.Errorf("at %s (%d): %s", c.URL().Path, c.Status(), c.Text("main"))
				}
				for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
					must(t, first.Open(ctx, p.stage.PetitionURL+"/my"))
					if !first.Has("signed-in-name") {
						break
					}
					if time.Now().After(deadline) {
						t.Fatal("still signed in at the portal")
					}
				}
				p.forgotten(t, traces)
				// The browser's session is over as well.
				must(t, first.Open(ctx, p.stage.PetitionURL+"/anyid/start"))
				if !first.Has("method-simple") {
					t.Errorf("at %s (%d): %s", first.URL().Path, first.Status(), first.Text("main"))
				}
			})
		})
	}
}

// visitor is the person as somebody who has just proved who they are.
func (s *Stage) visitor(t *testing.T, who Person) account.Visitor {
	t.Helper()
	id, _ := s.kept(t, who, "")
	if id == "" {
		t.Fatal("the person is not registered")
	}
	return account.Visitor{Person: id, Method: method.Simple, Provider: "kakao", At: time.Now(), Locale: "ko"}
}

// of is what a person is known by outside.
func of(p Person) []string {
	compact := strings.ReplaceAll(p.BirthDate, "-", "")
	return inForms(p.Name, p.BirthDate, compact, p.ci(), p.Phone, "+82"+p.Phone[1:], p.Phone[:3]+"-"+p.Phone[3:7]+"-"+p.Phone[7:])
}

// trace is everything by which something in the stores could be told to be of a person.
type trace struct {
	person  string // id
	subject string // as the audit chain knows them
	texts   []string
	keys    []string // where their sessions lay in kv
	events  []audit.Event
}

// traces collects them, and more of them that only the test knows. All that the broker has of itself must be there now.
func (s *Stage) traces(t *testing.T, who Person, more ...string) trace {
	t.Helper()
	ctx, app := t.Context(), s.App
	held, links := s.known(t, who)
	own := []string{held.ID, held.CIIndex, held.SealedCI, held.Sealed}
	own = append(own, held.Browsers...)
	if held.Settings != "" {
		own = append(own, held.Settings)
	}
	for _, l := range links {
		own = append(own, l.Subject, l.Digest)
	}
	entries, err := app.DB.Sessions().Sessions(ctx, held.ID)
	must(t, err)
	consents, err := app.DB.People().Consents(ctx, held.ID)
	must(t, err)
	alerts, err := app.DB.Notices().Alerts(ctx, held.ID)
	must(t, err)
	if len(links) == 0 || len(entries) == 0 || len(consents) == 0 || len(held.Browsers) == 0 {
		t.Fatalf("%d methods, %d sessions, %d consents, %d browsers", len(links), len(entries), len(consents), len(held.Browsers))
	}
	var keys []string
	for _, e := range entries {
		own, keys = append(own, e.ID, e.Origin), append(keys, e.Key)
		for _, site := range e.Sites {
			more = append(more, session.SID(e.ID, site)) // which is told and not kept
		}
	}
	for _, c := range consents {
		own = append(own, c.ID)
	}
	for _, a := range alerts {
		own = append(own, a.ID, a.Origin)
	}
	for _, id := range []string{"qnet", "minwon", "counter"} {
		site, err := app.Sites.Lookup(id)
		must(t, err)
		more = append(more, site.Subject(app.Login.Subjects, held.ID))
	}
	out := trace{person: held.ID, subject: app.Account.Veil.Subject(held.ID), texts: append(own, more...), keys: keys}
	if out.events, err = app.DB.Audit().History(ctx, out.subject, time.Time{}, audit.Cursor{}, 1000); err != nil || len(out.events) < 2 {
		t.Fatalf("%d events, %v", len(out.events), err)
	}
	return out
}

// forgotten fails the test if something of the person is left in the stores, once what they are told of the end is
// settled: every column of every table, and every key and value. Only the audit chain has the subject, under which
// nobody can tell whose events they were, and it holds.
func (p *play) forgotten(t *testing.T, of trace) {
	t.Helper()
	ctx, app := t.Context(), p.stage.App
	var all []held
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(200 * time.Millisecond) {
		all = stored(t, p.config)
		found := of.in(all)
		if len(found) == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("still there: %q", found)
		}
	}
	if len(all) < 100 || !slices.ContainsFunc(all, func(h held) bool { return h.what == "qnet" }) { // does this look at all?
		t.Fatalf("only %d things are looked at", len(all))
	}
	for _, h := range all {
		if strings.Contains(h.what, of.subject) && !strings.Contains(h.where, "audit_events") {
			t.Errorf("%s has the subject of the audit chain", h.where)
		}
	}

	// Where a session was there may be a mark for minutes, which keeps a login under way from putting it there again: under
	// the hash of what only the browser had, and empty.
	for _, key := range of.keys {
		if text, err := app.KV.Get(ctx, key); !errors.Is(err, kv.ErrNotFound) && text != "{}" {
			t.Errorf("under the key of a session there is %q, %v", text, err)
		}
	}

	// The id is nowhere, and without it nobody can open what is hidden, not even with all keys.
	left, err := app.DB.Audit().History(ctx, of.subject, time.Time{}, audit.Cursor{}, 1000)
	must(t, err)
	if len(left) < len(of.events) || !slices.ContainsFunc(left, func(e audit.Event) bool { return e.Action == audit.PersonWithdrawn }) {
		t.Errorf("%d events are left of %d", len(left), len(of.events))
	}
	hidden := 0
	for _, e := range left {
		if e.Hidden == "" {
			continue
		}
		hidden++
		if _, err := app.Account.Veil.Reveal(e, secret.NewID()); !errors.Is(err, secret.ErrSealed) {
			t.Errorf("without the id: %v", err)
		}
		if _, err := app.Account.Veil.Reveal(e, of.person); err != nil {
			t.Errorf("with the id: %v", err)
		}
	}
	if hidden == 0 {
		t.Error("nothing is hidden")
	}
	if report, err := audit.Verify(ctx, app.DB.Audit(), app.Keys); err != nil || report.Links == 0 {
		t.Errorf("the chain: %+v, %v", report, err)
	}
	for _, row := range p.query(t, "SELECT payload FROM outbox WHERE state <> 'waiting' AND payload <> ''") {
		t.Errorf("a settled message still has %s", row.where)
	}
}

// in lists where something of the person is.
func (of trace) in(all []held) (found []string) {
	for _, h := range all {
		for _, text := range of.texts {
			if strings.Contains(h.what, text) {
				found = append(found, text+" in "+h.where)
			}
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// retained looks at what is kept after a withdrawal: nothing, unless the broker is told to. Then the receipt shows a
// number once, which finds it.
func (p *play) retained(t *testing.T, a *actor, of trace) {
	t.Helper()
	rows := p.query(t, "SELECT * FROM retained")
	if p.config.Retention.Consents == 0 {
		if len(rows) != 0 || a.Has("withdraw-number") {
			t.Errorf("%d records are retained", len(rows))
		}
		return
	}
	number := a.Text("withdraw-number")
	kept, err := a.s.App.Account.Retained(t.Context(), number)
	if err != nil || len(kept) != 1 {
		t.Fatalf("%d records, %v", len(kept), err)
	}
	if k := kept[0]; k.Basis != p.config.Retention.ConsentsBasis || !k.DestroyAt.After(time.Now()) || !strings.Contains(string(k.Content), "qnet") {
		t.Errorf("retained: %+v", k)
	}
	for _, found := range of.in([]held{{"what is retained", string(kept[0].Content)}}) {
		t.Error(found)
	}
	for _, row := range rows {
		if strings.Contains(row.what, number) || strings.Contains(row.what, strings.ReplaceAll(number, "-", "")) {
			t.Errorf("%s has the number", row.where)
		}
	}
}

// query reads the SQL store.
func (p *play) query(t *testing.T, query string) []held {
	t.Helper()
	driver, dsn := "pgx", p.config.Postgres
	if dsn == "" {
		driver, dsn = "sqlite", "file:"+filepath.Join(p.config.Data, "broker", "anyid.db")+"?mode=ro&_pragma=busy_timeout(60000)"
	}
	db, err := sql.Open(driver, dsn)
	must(t, err)
	defer func() { must(t, db.Close()) }()
	return rows(t, db, query)
}
