package storagetest

import (
	"reflect"
	"testing"

	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/grant"
	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/internal/notice"
)

// alert returns a fresh alert of the person with every field set but Case.
func alert(id string, minute int) notice.Alert {
	return notice.Alert{
		ID: unique("alert"), Person: id, Kind: notice.NewBrowser, Method: method.Simple, Provider: "kakao", Site: "qnet",
		Session: unique("session"), Origin: "k1.origin", At: at(minute),
	}
}

// dispute returns a fresh open case of the person.
func dispute(id string, minute int) notice.Case {
	return notice.Case{
		ID: unique("case"), Person: id, State: notice.Open, Kind: notice.NewBrowser, Method: method.Simple, Provider: "kakao",
		Site: "qnet", OpenedAt: at(minute),
	}
}

func wantAlert(t *testing.T, s Stores, want notice.Alert) {
	t.Helper()
	got, err := s.Notices.Alert(t.Context(), want.ID)
	check(t, err)
	if got != want {
		t.Errorf("the alert is %+v, want %+v", got, want)
	}
}

func testNotices(t *testing.T, s Stores) {
	ctx := t.Context()
	// alarm stores alerts by a login.
	alarm := func(t *testing.T, alerts ...notice.Alert) {
		t.Helper()
		check(t, s.Grants.RecordLogin(ctx, grant.Login{Person: alerts[0].Person, Site: "qnet", At: at(0), Event: event(audit.SiteLogin), Alerts: alerts}))
	}
	noCase := func(t *testing.T, c notice.Case, e audit.Event) {
		t.Helper()
		_, err := s.Notices.Case(ctx, c.ID)
		wantCode(t, err, fault.NotFound)
		wantEvents(t, s, false, e)
	}

	t.Run("a person's alerts are listed newest first", func(t *testing.T) {
		p := Person(t, s.People)
		a, b, c := alert(p, 1), alert(p, 3), alert(p, 2)
		c.Site, c.Session = "", ""
		alarm(t, a, b)
		alarm(t, c)
		alarm(t, alert(Person(t, s.People), 4))
		got, err := s.Notices.Alerts(ctx, p)
		check(t, err)
		if want := []notice.Alert{b, c, a}; !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, want %+v", got, want)
		}
		wantAlert(t, s, a)
		_, err = s.Notices.Alert(ctx, "nothing")
		wantCode(t, err, fault.NotFound)
	})

	t.Run("an alert is disputed once", func(t *testing.T) {
		a := alert(Person(t, s.People), 0)
		alarm(t, a)
		c, e := dispute(a.Person, 1), event(audit.DisputeOpened)
		check(t, s.Notices.Dispute(ctx, c, a.ID, e))
		wantEvents(t, s, true, e)
		got, err := s.Notices.Case(ctx, c.ID)
		check(t, err)
		if got != c {
			t.Errorf("the case is %+v, want %+v", got, c)
		}
		a.Case = c.ID
		wantAlert(t, s, a)
		again, e := dispute(a.Person, 2), event(audit.DisputeOpened)
		wantCode(t, s.Notices.Dispute(ctx, again, a.ID, e), fault.Conflict)
		noCase(t, again, e)
		wantAlert(t, s, a)

		raced := alert(a.Person, 3)
		alarm(t, raced)
		if n := race(t, func(int) (bool, error) {
			return wins(s.Notices.Dispute(ctx, dispute(a.Person, 4), raced.ID, event(audit.DisputeOpened)))
		}); n != 1 {
			t.Errorf("the alert was disputed %d times", n)
		}
		cases, err := s.Notices.CasesOf(ctx, a.Person)
		check(t, err)
		if len(cases) != 2 || !cases[0].OpenedAt.Equal(at(4)) || cases[1] != c { // newest first
			t.Errorf("the person's cases are %+v", cases)
		}
	})

	t.Run("a dispute without an alert, and of what is not theirs", func(t *testing.T) {
		p := Person(t, s.People)
		alone := dispute(p, 0)
		alone.Kind, alone.Site, alone.Provider = "", "", ""
		check(t, s.Notices.Dispute(ctx, alone, ""))
		got, err := s.Notices.Case(ctx, alone.ID)
		if err != nil || got != alone {
			t.Errorf("the case is %+v, %v", got, err)
		}
		others := alert(Person(t, s.People), 0)
		alarm(t, others)
		for name, c := range map[string]struct{ person, alert string }{
			"unknown alert": {p, "nothing"}, "another's alert": {p, others.ID}, "unknown person": {"nobody", ""}, "another's alert, unknown person": {"nobody", others.ID},
		} {
			opened, e := dispute(c.person, 0), event(audit.DisputeOpened)
			if err := s.Notices.Dispute(ctx, opened, c.alert, e); !fault.Is(err, fault.NotFound) {
				t.Errorf("%s: %v", name, err)
			}
			noCase(t, opened, e)
		}
		wantAlert(t, s, others)
	})

	t.Run("a case is opened once", func(t *testing.T) {
		p := Person(t, s.People)
		c, a := dispute(p, 0), alert(p, 0)
		alarm(t, a)
		if n := race(t, func(int) (bool, error) { return wins(s.Notices.Dispute(ctx, c, "", event(audit.DisputeOpened))) }); n != 1 {
			t.Errorf("the case was opened %d times", n)
		}
		wantCode(t, s.Notices.Dispute(ctx, c, a.ID), fault.Conflict)
		wantAlert(t, s, a)
	})

	t.Run("a case is closed once", func(t *testing.T) {
		c := dispute(Person(t, s.People), 0)
		check(t, s.Notices.Dispute(ctx, c, ""))
		shut := func(id string) (audit.Event, bool, error) {
			e := audit.New(at(5), audit.DisputeClosed, audit.Operator("kim"))
			ok, err := s.Notices.CloseCase(ctx, id, "spoken with", at(5), e)
			return e, ok, err
		}
		e, ok, err := shut("nothing")
		check(t, err)
		wantEvents(t, s, false, e)
		if ok {
			t.Error("a case was closed that is not there")
		}
		if n := race(t, func(int) (bool, error) {
			_, ok, err := shut(c.ID)
			return ok, err
		}); n != 1 {
			t.Errorf("the case was closed %d times", n)
		}
		c.State, c.ClosedAt, c.ClosedBy, c.Note = notice.Closed, at(5), "operator:kim", "spoken with"
		got, err := s.Notices.Case(ctx, c.ID)
		if err != nil || got != c {
			t.Errorf("the case is %+v, want %+v (%v)", got, c, err)
		}
	})

	t.Run("old alerts are swept", func(t *testing.T) {
		p := Person(t, s.People)
		var last notice.Alert
		for i := range 4 {
			last = alert(p, 0)
			last.At = at(0).AddDate(-1, 0, i)
			alarm(t, last)
		}
		for _, want := range []int{2, 1, 0} {
			n, err := s.Notices.SweepAlerts(ctx, last.At, 2)
			check(t, err)
			if n != want {
				t.Errorf("%d alerts were swept, want %d", n, want)
			}
		}
		wantAlert(t, s, last) // from the time, not from before it
	})
}

// testCases has a database of its own: it lists all cases.
func testCases(t *testing.T, s Stores) {
	ctx := t.Context()
	p := Person(t, s.People)
	a, b, c := dispute(p, 3), dispute(p, 1), dispute(Person(t, s.People), 2)
	for _, c := range []notice.Case{a, b, c} {
		check(t, s.Notices.Dispute(ctx, c, ""))
	}
	_, err := s.Notices.CloseCase(ctx, b.ID, "", at(4), audit.New(at(4), audit.DisputeClosed, audit.Operator("kim")))
	check(t, err)
	b.State, b.ClosedAt, b.ClosedBy = notice.Closed, at(4), "operator:kim"
	for _, row := range []struct {
		state notice.CaseState
		limit int
		want  []notice.Case
	}{
		{"", 10, []notice.Case{b, c, a}}, {"", 2, []notice.Case{b, c}}, {notice.Open, 10, []notice.Case{c, a}},
		{notice.Open, 1, []notice.Case{c}}, {notice.Closed, 10, []notice.Case{b}}, {"other", 10, nil},
	} {
		got, err := s.Notices.Cases(ctx, row.state, row.limit)
		check(t, err)
		if !reflect.DeepEqual(got, row.want) {
			t.Errorf("%d cases in state %q are %+v, want %+v", row.limit, row.state, got, row.want)
		}
	}
}
