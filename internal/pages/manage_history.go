package pages

import (
	"encoding/base64"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/anyid/anyid/internal/account"
	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/authn"
	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/internal/web"
)

// perPage is how many entries of the history a page shows.
const perPage = 20

// outcomes are those to choose from.
var outcomes = []account.Outcome{account.Success, account.Refused, account.Change}

// history is 인증 이력.
func (s *Server) history(w http.ResponseWriter, r *http.Request, m managed) {
	query := r.URL.Query()
	fields, filter, wrong, err := parseFilter(query)
	after, ok := parseCursor(query.Get("after"))
	if err != nil || !ok {
		s.Views.Error(w, r, http.StatusBadRequest, ErrorView{Code: ErrRequest, ReturnURL: pageOf(m.name)})
		return
	}
	view := HistoryView{Page: s.page(m), Done: done(r, Reported), Values: fields, Errors: wrong, Outcomes: outcomes}
	status := http.StatusOK
	if wrong.Any() {
		status = http.StatusUnprocessableEntity
	}
	sites, err := s.Account.Sites(r.Context(), m.visitor)
	if err != nil {
		s.fail(w, r, nil, err)
		return
	}
	records, next, err := s.Account.History(r.Context(), m.visitor, filter, after, perPage)
	if err != nil {
		s.fail(w, r, nil, err)
		return
	}
	for _, use := range sites {
		view.Sites = append(view.Sites, HistorySite{use.ID, s.siteNamed(use.ID).Name})
	}
	if id := fields.Site; id != "" && !slices.ContainsFunc(view.Sites, func(h HistorySite) bool { return h.ID == id }) {
		view.Sites = append(view.Sites, HistorySite{id, s.siteNamed(id).Name})
	}
	for _, known := range slices.Concat(method.All(), []method.Method{method.Phone, method.IPIN}) {
		if s.Login.Methods[known] != nil || known == fields.Method {
			view.Methods = append(view.Methods, known)
		}
	}
	disputable := 0
	for _, record := range records {
		entry := s.entry(record)
		if record.Disputable {
			disputable++
			entry.DisputeURL, entry.DisputeID = disputePath(record.ID), "not-me"
			if disputable > 1 {
				entry.DisputeID += "-" + strconv.Itoa(disputable)
			}
		}
		view.Entries = append(view.Entries, entry)
	}
	chosen := fields.query()
	with := func(path string, values url.Values) string {
		if len(values) == 0 {
			return path
		}
		return path + "?" + values.Encode()
	}
	base := pageOf(m.name)
	view.CSVURL, view.JSONURL = with(base+".csv", chosen), with(base+".json", chosen)
	if after != (audit.Cursor{}) {
		view.NewerURL = with(base, chosen)
	}
	if next != (audit.Cursor{}) {
		older := fields.query()
		older.Set("after", formatCursor(next))
		view.OlderURL = with(base, older)
	}
	s.Views.History(w, r, status, view)
}

// entry is a record as pages show it.
func (s *Server) entry(r account.Record) HistoryEntry {
	return HistoryEntry{
		At: r.At, Action: r.Action, Code: r.Detail["code"], Outcome: r.Outcome, SiteName: r.SiteName, Method: r.Method,
		Provider: s.named(r.Method, r.Provider), Level: r.Level, Address: r.Address, Browser: r.Browser,
	}
}

// errFilter says that a filter names what there is not.
var errFilter = errors.New("pages: no such filter")

// parseFilter reads the filter of the history. What somebody may have typed wrong is told of; what no form sends is
// an error. Days are those of Korea, and the last one counts.
func parseFilter(query url.Values) (fields HistoryFields, filter account.Filter, wrong HistoryErrors, err error) {
	fields = HistoryFields{
		From: strings.TrimSpace(query.Get("from")), To: strings.TrimSpace(query.Get("to")), Site: query.Get("site"),
		Method: method.Method(query.Get("method")), Outcome: account.Outcome(query.Get("outcome")),
	}
	if fields.Method != "" {
		if _, err := method.Parse(string(fields.Method)); err != nil && fields.Method != method.Phone && fields.Method != method.IPIN {
			return fields, filter, wrong, errFilter
		}
	}
	if fields.Outcome != "" && !slices.Contains(outcomes, fields.Outcome) || len(fields.Site) > maxSiteID {
		return fields, filter, wrong, errFilter
	}
	filter.Site, filter.Method, filter.Outcome = fields.Site, fields.Method, fields.Outcome
	var ok bool
	if filter.From, ok = parseDay(fields.From); !ok {
		wrong.From = Invalid
	}
	if filter.To, ok = parseDay(fields.To); !ok {
		wrong.To = Invalid
	} else if !filter.To.IsZero() {
		filter.To = filter.To.AddDate(0, 0, 1)
		if filter.To.Before(filter.From) {
			wrong.To = Invalid
		}
	}
	return fields, filter, wrong, nil
}

// maxSiteID is more than the length of any client id.
const maxSiteID = 200

// parseDay reads YYYY-MM-DD, also with dots or without anything between, as the beginning of that day in Korea. An
// empty text is no day, and right.
func parseDay(text string) (time.Time, bool) {
	if text == "" {
		return time.Time{}, true
	}
	t, err := time.ParseInLocation("20060102", strip(text, " .-/"), authn.Korea)
	return t, err == nil && t.Year() >= 2000
}

// formatCursor is a place in the history as a parameter.
func formatCursor(c audit.Cursor) string {
	return base64.RawURLEncoding.EncodeToString([]byte(strconv.FormatInt(c.At.UnixMilli(), 10) + " " + c.ID))
}

// maxCursor bounds the parameter, and the id in it.
const maxCursor = 128

// parseCursor reads it; the empty one is the beginning.
func parseCursor(text string) (audit.Cursor, bool) {
	if text == "" {
		return audit.Cursor{}, true
	}
	decoded, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(text) > maxCursor {
		return audit.Cursor{}, false
	}
	millis, id, ok := strings.Cut(string(decoded), " ")
	at, err := strconv.ParseInt(millis, 10, 64)
	if !ok || err != nil || id == "" {
		return audit.Cursor{}, false
	}
	c := audit.Cursor{At: time.UnixMilli(at).UTC(), ID: id}
	return c, formatCursor(c) == text
}

// download is the history as a file.
func (s *Server) download(format string) func(http.ResponseWriter, *http.Request, managed) {
	return func(w http.ResponseWriter, r *http.Request, m managed) {
		_, filter, wrong, err := parseFilter(r.URL.Query())
		if err != nil || wrong.Any() {
			s.Views.Error(w, r, http.StatusBadRequest, ErrorView{Code: ErrRequest, ReturnURL: pageOf(m.name)})
			return
		}
		file := &attachment{w: w, name: "anyid-history-" + s.Login.Now().In(authn.Korea).Format("20060102") + "." + format, kind: map[string]string{
			account.CSV: "text/csv; charset=utf-8", account.JSON: "application/json",
		}[format]}
		switch err := s.Account.WriteHistory(r.Context(), file, m.visitor, filter, format); {
		case err != nil && !file.begun:
			s.fail(w, r, nil, err)
		case err != nil: // the file is cut off, and the browser is told by the connection's end
			s.Log.LogAttrs(r.Context(), slog.LevelError, "history not written to its end", slog.Any("error", err))
			panic(http.ErrAbortHandler)
		}
	}
}

// attachment is an answer that the browser keeps as a file. Its header goes out with the first bytes, so that an error
// before them can still be shown as a page.
type attachment struct {
	w          http.ResponseWriter
	name, kind string
	begun      bool
}

func (a *attachment) Write(p []byte) (int, error) {
	if !a.begun {
		a.begun = true
		h := a.w.Header()
		h.Set("Content-Type", a.kind)
		h.Set("Content-Disposition", `attachment; filename="`+a.name+`"`)
		h.Set("Cache-Control", "no-store")
	}
	return a.w.Write(p)
}

// disputePath is where it can be said that an entry was not the person.
func disputePath(event string) string {
	return managePath + "/history/" + url.PathEscape(event) + "/not-me"
}

// askDispute asks whether an entry of the history was not the person.
func (s *Server) askDispute(w http.ResponseWriter, r *http.Request, m managed) {
	record, err := s.record(r, m, r.PathValue("event"))
	if err != nil {
		s.fail(w, r, nil, err)
		return
	}
	s.Views.Dispute(w, r, http.StatusOK, DisputeView{Page: s.page(m), Entry: s.entry(record), Action: disputePath(record.ID)})
}

// record finds an entry of the visitor's own history that can be disputed, or fault.NotFound.
func (s *Server) record(r *http.Request, m managed, event string) (account.Record, error) {
	const many = 500
	for after := (audit.Cursor{}); ; {
		records, next, err := s.Account.History(r.Context(), m.visitor, account.Filter{}, after, many)
		if err != nil {
			return account.Record{}, err
		}
		for _, record := range records {
			if record.ID == event && record.Disputable {
				return record, nil
			}
		}
		if next == (audit.Cursor{}) {
			return account.Record{}, fault.New(fault.NotFound, "pages: no such entry")
		}
		after = next
	}
}

// dispute is 내가 아님, of an entry of the history.
func (s *Server) dispute(w http.ResponseWriter, r *http.Request, m managed) {
	opened, err := s.Account.DisputeRecord(r.Context(), m.visitor, r.PathValue("event"))
	if fault.Is(err, fault.Conflict) { // it was said before
		http.Redirect(w, r, pageOf(m.name)+"?done="+string(Reported), http.StatusSeeOther)
		return
	}
	if err != nil {
		s.fail(w, r, nil, err)
		return
	}
	s.Views.NotMeDone(w, r, http.StatusOK, NotMeDoneView{Case: opened.ID, Method: opened.Method})
}

// askNotMe shows who follows the link of a notice what it is about. It changes nothing: mail programs open links too.
func (s *Server) askNotMe(w http.ResponseWriter, r *http.Request) {
	s.showNotMe(w, r, http.StatusOK, r.URL.Query().Get("code"))
}

func (s *Server) showNotMe(w http.ResponseWriter, r *http.Request, status int, code string) {
	alert, err := s.Account.Alert(r.Context(), code)
	if err != nil {
		s.failNotMe(w, r, err)
		return
	}
	view := NotMeView{
		Page: Page{Here: notMePath + "?" + url.Values{"code": {code}}.Encode()}, Code: code, Kind: alert.Kind, Method: alert.Method,
		Provider: s.named(alert.Method, alert.Provider), At: alert.At, Address: alert.Origin.Address, Browser: alert.Origin.Browser, Disputed: alert.Disputed,
	}
	if alert.Site != "" {
		shown := s.siteNamed(alert.Site)
		view.Site = &shown
	}
	s.Views.NotMe(w, r, status, view)
}

func (s *Server) failNotMe(w http.ResponseWriter, r *http.Request, err error) {
	if fault.Is(err, fault.NotFound) {
		s.Views.Error(w, r, http.StatusNotFound, ErrorView{Page: Page{Here: notMePath}, Code: ErrCode})
		return
	}
	s.fail(w, r, nil, err)
}

// notMe is 내가 아님, by the code of a notice.
func (s *Server) notMe(w http.ResponseWriter, r *http.Request) {
	code := r.PostForm.Get("code")
	opened, err := s.Account.Dispute(r.Context(), code, account.Visitor{Address: web.ClientAddrText(r.Context()), Browser: web.Browser(r), Locale: web.Locale(r, nil)})
	switch {
	case fault.Is(err, fault.Conflict):
		s.showNotMe(w, r, http.StatusConflict, code)
	case err != nil:
		s.failNotMe(w, r, err)
	default:
		s.Views.NotMeDone(w, r, http.StatusOK, NotMeDoneView{Page: Page{Here: notMePath + "?" + url.Values{"code": {code}}.Encode()}, Case: opened.ID, Method: opened.Method})
	}
}
