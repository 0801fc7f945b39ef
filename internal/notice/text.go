package notice

import (
	"strings"
	"time"
	"unicode"
)

// korea is the time zone of the messages.
var korea = time.FixedZone("KST", 9*60*60)

// wording is what messages say in one language. %s is the service's name.
type wording struct {
	subject, lead                           map[Kind]string
	at, site, method, added, browser, where string
	when                                    string // layout of a time
	greeting, yours, notYours, asks, never  string
}

var wordings = map[string]wording{
	"ko": {
		subject: map[Kind]string{
			NewBrowser: "새로운 브라우저에서 로그인했습니다",
			NewMethod:  "인증수단이 추가되었습니다",
			Withdrawn:  "사용자 등록이 해지되었습니다",
		},
		lead: map[Kind]string{
			NewBrowser: "지금까지 로그인한 적이 없는 브라우저에서 로그인했습니다.",
			NewMethod:  "회원님의 사용자 등록에 새로운 인증수단이 추가되었습니다.",
			Withdrawn:  "사용자 등록이 해지되어 이용정보가 모두 삭제되었습니다. 다시 이용하려면 사용자 등록을 다시 하셔야 합니다.",
		},
		at: "일시", site: "이용사이트", method: "인증수단", added: "추가된 인증수단", browser: "브라우저", where: "접속 주소(IP)",
		when:     "2006년 1월 2일 15시 04분 (한국 시간)",
		greeting: "%s에서 알려 드립니다.",
		yours:    "본인이 하신 일이라면 아무것도 하지 않으셔도 됩니다.",
		notYours: "본인이 아니라면 아래 주소를 열어 바로 알려 주세요. 로그인을 모두 끝내고 이 인증수단의 사용을 멈춘 뒤 담당자가 확인합니다.",
		asks:     "본인이 해지하지 않았다면 고객센터 %s에 문의해 주세요.",
		never:    "이 메시지는 발신 전용입니다. 저희는 메시지로 주민등록번호나 인증서 비밀번호를 묻지 않습니다.",
	},
	"en": {
		subject: map[Kind]string{
			NewBrowser: "Sign-in from a new browser",
			NewMethod:  "A way to sign in was added",
			Withdrawn:  "Your registration has ended",
		},
		lead: map[Kind]string{
			NewBrowser: "Somebody signed in as you from a browser that had not been used before.",
			NewMethod:  "A new way to sign in was added to your registration.",
			Withdrawn:  "Your registration has ended, and everything about your use was deleted. To use the service again, please register again.",
		},
		at: "When", site: "Site", method: "Signed in with", added: "Added", browser: "Browser", where: "IP address",
		when:     "2 January 2006, 15:04 (Korea time)",
		greeting: "This is a message from %s.",
		yours:    "If this was you, there is nothing to do.",
		notYours: "If this was not you, please tell us at once at the address below. Every session will be ended and this way to sign in will be stopped, and our staff will look into it.",
		asks:     "If it was not you who ended it, please contact %s.",
		never:    "Please do not reply to this message. We never ask for your resident registration number or a certificate's password by message.",
	},
}

// message words the news in the person's language; link is empty where there is nothing to dispute.
func (s *Service) message(n News, link string) Message {
	locale := n.Locale
	w, ok := wordings[locale]
	if !ok {
		locale = "ko"
		w = wordings[locale]
	}
	service := line(s.ServiceName.In(locale))
	used := n.Method.Korean()
	if locale == "en" {
		used = n.Method.English()
	}
	if s.ProviderName != nil && n.Provider != "" {
		if provider := s.ProviderName(n.Method, n.Provider, locale); provider != "" && provider != used {
			used += " (" + provider + ")"
		}
	}
	method := w.method
	if n.Kind == NewMethod {
		method = w.added
	}

	var b strings.Builder
	paragraph := func(text string) { b.WriteString(text + "\n\n") }
	paragraph(put(w.greeting, service))
	paragraph(w.lead[n.Kind])
	for _, fact := range []struct{ label, value string }{
		{w.at, n.At.In(korea).Format(w.when)},
		{w.site, line(n.SiteName)},
		{method, line(used)},
		{w.browser, line(n.Origin.Browser)},
		{w.where, line(n.Origin.Address)},
	} {
		if fact.value != "" {
			b.WriteString(fact.label + ": " + fact.value + "\n")
		}
	}
	b.WriteString("\n")
	switch {
	case link != "":
		paragraph(w.yours)
		b.WriteString(w.notYours + "\n")
		paragraph(link)
	case s.CallCentre != "":
		paragraph(put(w.asks, line(s.CallCentre)))
	}
	b.WriteString(w.never + "\n")

	return Message{
		Kind: n.Kind, Locale: locale, To: n.Email, Phone: n.Phone,
		Subject: "[" + service + "] " + w.subject[n.Kind], Text: b.String(), Link: link, At: n.At,
	}
}

// put sets the value into the wording.
func put(wording, value string) string { return strings.Replace(wording, "%s", value, 1) }

// maxLine bounds the values that others chose.
const maxLine = 120

// line makes one line of a value that others chose: not long, without control characters and whatever else is not seen.
func line(value string) string {
	value = strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return ' '
		}
		if !unicode.IsPrint(r) { // control characters, and those that turn the direction of text around
			return -1
		}
		return r
	}, strings.ToValidUTF8(value, ""))
	if runes := []rune(value); len(runes) > maxLine {
		value = string(runes[:maxLine]) + "…"
	}
	return strings.TrimSpace(value)
}
