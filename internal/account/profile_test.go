package account

import (
	"reflect"
	"strings"
	"testing"

	"github.com/anyid/anyid/internal/audit"
	"github.com/anyid/anyid/internal/authn"
	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/internal/person"
)

func TestProfile(t *testing.T) {
	t.Parallel()
	everywhere(t, func(w *world) {
		ctx, c := w.t.Context(), w.register("홍길동")
		held, err := w.svc.Profile(ctx, c.Visitor)
		w.check(err)
		want := Profile{Attributes: c.attributes, First: method.Simple, RegisteredAt: c.At, UpdatedAt: c.At}
		if !reflect.DeepEqual(held, want) {
			w.t.Errorf("profile %+v, want %+v", held, want)
		}

		next := person.Settings{Email: " hong@Example.com", Locale: "en", Quiet: []string{"new_method", "new_browser", "new_method"}}
		w.check(w.svc.SetSettings(ctx, c.Visitor, next))
		w.check(w.svc.SetSettings(ctx, c.Visitor, next)) // says nothing new
		want.Settings = person.Settings{Email: "hong@example.com", Locale: "en", Quiet: []string{"new_browser", "new_method"}}
		if held, err = w.svc.Profile(ctx, c.Visitor); err != nil || !reflect.DeepEqual(held, want) {
			w.t.Errorf("profile %+v, %v, want %+v", held, err, want)
		}
		if n := w.actions(c.Person)[audit.SettingsChanged]; n != 1 {
			w.t.Errorf("%d events of changed settings", n)
		}
		stored, err := w.svc.People.ByID(ctx, c.Person)
		w.check(err)
		if strings.Contains(stored.Settings, "hong") {
			w.t.Error("settings are stored in clear")
		}

		w.check(w.svc.SetSettings(ctx, c.Visitor, person.Settings{}))
		if held, err = w.svc.Profile(ctx, c.Visitor); err != nil || !reflect.DeepEqual(held.Settings, person.Settings{}) || held.Attributes != c.attributes {
			w.t.Errorf("after clearing: %+v, %v", held, err)
		}
		for _, row := range []struct {
			settings person.Settings
			field    string
		}{
			{person.Settings{Email: "hong"}, "email"},
			{person.Settings{Email: "hong@example.com\r\nBcc: x@example.com"}, "email"},
			{person.Settings{Locale: "fr"}, "locale"},
			{person.Settings{Quiet: []string{"withdrawn"}}, "quiet"}, // the end is always told
			{person.Settings{Quiet: []string{"new_browser", ""}}, "quiet"},
		} {
			err := w.svc.SetSettings(ctx, c.Visitor, row.settings)
			field, ok := err.(*FieldError) //nolint:errorlint // it is promised bare
			if !ok || field.Field != row.field || !fault.Is(err, fault.Invalid) || strings.Contains(err.Error(), "hong") {
				w.t.Errorf("%+v: %v", row.settings, err)
			}
		}
		w.want(w.svc.SetSettings(ctx, Visitor{Person: "nobody"}, person.Settings{Locale: "ko"}), fault.NotFound)
		_, err = w.svc.Profile(ctx, Visitor{Person: "nobody"})
		w.want(err, fault.NotFound)
	})
}

// What is sealed for one person opens for no other, and no error repeats it.
func TestSealedForOthers(t *testing.T) {
	t.Parallel()
	here(t, func(w *world) {
		ctx, a, b := w.t.Context(), w.register("홍길동"), w.register("성춘향")
		other, err := w.svc.People.ByID(ctx, b.Person)
		w.check(err)
		w.check(w.svc.People.Refresh(ctx, a.Person, other.Sealed, w.clock()))
		if held, err := w.svc.Profile(ctx, a.Visitor); err == nil || held.Attributes != (authn.Attributes{}) {
			w.t.Errorf("profile %+v, %v", held, err)
		}
		if _, err := w.svc.Withdraw(ctx, a.Visitor); err == nil {
			w.t.Error("withdrew without knowing whom to tell")
		}
	})
}
