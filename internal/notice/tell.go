package notice

import (
	"time"

	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/internal/session"
)

// News is what a person is to be told of.
type News struct {
	Kind     Kind
	Person   string
	Method   method.Method
	Provider string // its id, such as "kakao"; may be empty
	Site     string // client id; may be empty
	SiteName string // in the locale
	Session  string // session.Entry.ID; may be empty
	Origin   session.Origin
	At       time.Time
	Email    string // may be empty
	Phone    string // may be empty; E.164
	Locale   string // "ko" or "en"
	Quiet    bool   // the person does not want such messages: there is an alert, and no message
}
