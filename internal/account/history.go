package account

import (
	"context"
	"fmt"
	"io"
	"iter"
	"strconv"
	"time"

	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/method"
)

// Outcome is how a thing ended.
type Outcome string

// The outcomes.
const (
	Success Outcome = "success" // somebody proved who they are, or a site was told who came
	Refused Outcome = "refused" // a proof or a request was not let through
	Change  Outcome = "change"  // something of the registration is different since
)

// Record is one thing in a person's history (인증 이력).
type Record struct {
	ID       string            `json:"id"`
	At       time.Time         `json:"at"`
	Action   audit.Action      `json:"action"`
	Outcome  Outcome           `json:"outcome"`
	Site     string            `json:"site,omitempty"`      // client id
	SiteName string            `json:"site_name,omitempty"` // in the visitor's language
	Method   method.Method     `json:"method,omitempty"`
	Provider string            `json:"provider,omitempty"` // authn.Provider.ID
	Level    method.Level      `json:"level,omitempty"`
	Address  string            `json:"address,omitempty"` // where the person, or whoever acted as them, did it from
	Browser  string            `json:"browser,omitempty"`
	Detail   map[string]string `json:"detail,omitempty"` // codes
	// Disputable says that the person may say that it was not them (Service.DisputeRecord).
	Disputable bool `json:"-"`
}

// Filter chooses among records. What is zero does not choose.
type Filter struct {
	From    time.Time // the first moment
	To      time.Time // the first moment after
	Site    string
	Method  method.Method
	Outcome Outcome
}

func (f Filter) lets(r Record) bool {
	return !r.At.Before(f.From) && (f.To.IsZero() || r.At.Before(f.To)) && (f.Site == "" || r.Site == f.Site) &&
		(f.Method == "" || r.Method == f.Method) && (f.Outcome == "" || r.Outcome == f.Outcome)
}

// entry is how an action stands in a history.
type entry struct {
	outcome Outcome
	korean  string
}

// entries are the actions that concern the citizen. The others are the broker's own affair.
var entries = map[audit.Action]entry{
	audit.SiteLogin:        {Success, "이용사이트 로그인"},
	audit.IdentityVerified: {Success, "본인 확인"},
	audit.CIDisclosed:      {Success, "연계정보(CI) 제공"},
	audit.DataExported:     {Success, "내 정보 내려받기"},
	audit.LoginFailed:      {Refused, "인증 실패"},
	audit.LoginRefused:     {Refused, "인증 거부"},
	audit.LoginConflict:    {Refused, "인증 불일치"},
	audit.SiteDenied:       {Refused, "이용사이트 로그인 취소"},
	audit.PersonRegistered: {Change, "사용자 등록"},
	audit.MethodLinked:     {Change, "인증수단 등록"},
	audit.MethodUnlinked:   {Change, "인증수단 삭제"},
	audit.MethodBlocked:    {Change, "인증수단 차단"},
	audit.MethodUnblocked:  {Change, "인증수단 차단 해제"},
	audit.SettingsChanged:  {Change, "설정 변경"},
	audit.ConsentGiven:     {Change, "동의"},
	audit.ConsentWithdrawn: {Change, "동의 철회"},
	audit.SiteRevoked:      {Change, "이용사이트 연결 해지"},
	audit.SessionEnded:     {Change, "로그아웃"},
	audit.DisputeOpened:    {Change, "본인 아님 신고"},
	audit.DisputeClosed:    {Change, "신고 처리 완료"},
}

// disputable are the actions by which somebody else may have come in.
var disputable = map[audit.Action]bool{audit.SiteLogin: true, audit.IdentityVerified: true, audit.MethodLinked: true}

// details are the codes of events that a history shows.
var details = []string{"code", "error", "cause", "rule", "items", "version", "sso", "case", "format"}

// record translates one of the person's own events; false: it does not concern them.
func (s *Service) record(e audit.Event, locale string) (Record, bool) {
	as, ok := entries[e.Action]
	if !ok {
		return Record{}, false
	}
	r := Record{
		ID: e.ID, At: e.At.UTC(), Action: e.Action, Outcome: as.outcome, Site: e.Site,
		Method: method.Method(e.Detail["method"]), Provider: e.Detail["provider"],
	}
	if e.Site != "" {
		r.SiteName = s.named(e.Site, locale)
	}
	if level, err := strconv.Atoi(e.Detail["level"]); err == nil {
		r.Level = method.Level(level)
	}
	if e.Actor == audit.Citizen { // an operator's address is none of theirs
		r.Address, r.Browser = e.Address, e.Browser
	}
	for _, key := range details {
		if code := e.Detail[key]; code != "" {
			if r.Detail == nil {
				r.Detail = make(map[string]string)
			}
			r.Detail[key] = code
		}
	}
	r.Disputable = disputable[e.Action] && r.Method != "" && e.Actor == audit.Citizen
	return r, true
}

// leaf is how many events are read at once.
const leaf = 200

// records runs through the records that the filter lets through, newest first, after the cursor. An error ends it.
func (s *Service) records(ctx context.Context, v Visitor, f Filter, after audit.Cursor) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		since := s.Now().Add(-s.Retention.history())
		if f.From.After(since) {
			since = f.From
		}
		if after == (audit.Cursor{}) && !f.To.IsZero() {
			// Events stand at whole milliseconds; no id comes before the empty one.
			after.At = f.To.Add(time.Millisecond - 1).Truncate(time.Millisecond)
		}
		subject := s.Veil.Subject(v.Person)
		for {
			events, err := s.Audit.History(ctx, subject, since, after, leaf)
			if err != nil {
				yield(Record{}, err)
				return
			}
			for _, e := range events {
				after = audit.Cursor{At: e.At, ID: e.ID}
				if e, err = s.Veil.Reveal(e, v.Person); err != nil {
					yield(Record{}, fmt.Errorf("account: history: %w", err))
					return
				}
				if r, ok := s.record(e, v.Locale); ok && f.lets(r) && !yield(r, nil) {
					return
				}
			}
			if len(events) < leaf {
				return
			}
		}
	}
}

func (r Retention) history() time.Duration {
	if r.History == 0 {
		return historyDefault
	}
	return r.History
}

// History returns up to limit records that the filter lets through, newest first, after the cursor; and the cursor
// after which the next ones come: the zero cursor when there are none. It goes back as far as Retention.History.
func (s *Service) History(ctx context.Context, v Visitor, f Filter, after audit.Cursor, limit int) ([]Record, audit.Cursor, error) {
	var list []Record
	for r, err := range s.records(ctx, v, f, after) {
		switch {
		case err != nil:
			return nil, audit.Cursor{}, err
		case len(list) == limit && limit > 0:
			last := list[limit-1]
			return list, audit.Cursor{At: last.At, ID: last.ID}, nil
		case len(list) < limit:
			list = append(list, r)
		}
	}
	return list, audit.Cursor{}, nil
}

// The formats of WriteHistory.
const (
	CSV  = "csv"  // RFC 4180, UTF-8 with a byte order mark, in Korean
	JSON = "json" // an array of Record
)

// WriteHistory writes all records that the filter lets through, newest first, in the format: CSV or JSON, else
// fault.Invalid. It writes as it reads, so that a long history takes little memory; what was written before an error
// stays.
func (s *Service) WriteHistory(ctx context.Context, w io.Writer, v Visitor, f Filter, format string) error {
	var form sheet
	switch format {
	case CSV:
		form = newCSVSheet(w)
	case JSON:
		form = newJSONSheet(w)
	default:
		return fault.New(fault.Invalid, "account: a history is written as csv or json")
	}
	event := s.event(v, audit.DataExported)
	event.Detail = map[string]string{"format": format}
	if err := s.Audit.Record(ctx, event); err != nil {
		return err
	}
	for r, err := range s.records(ctx, v, f, audit.Cursor{}) {
		if err == nil {
			err = form.add(r)
		}
		if err != nil {
			return err
		}
	}
	return form.end()
}
