package inbox

import (
	"embed"
	"html/template"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/anyid/anyid/internal/sim"
)

//go:embed *.html
var pageFiles embed.FS

var pages = template.Must(template.New("").Funcs(template.FuncMap{"paragraphs": paragraphs}).ParseFS(pageFiles, "*.html"))

// maxListed bounds the addresses on the first page; every other has a page of its own.
const maxListed = 50

// Handler is the pages, one for each person with their messages, and the JSON API for tests:
//
//	GET /                                  whose messages there are
//	GET /?to=…                             the messages of an e-mail address or phone number, or of the person who
//	                                       has it, newest first: each is an element inbox-message-<n>, from 1
//	GET /api/messages?to=…                 {"messages":[Message…]}, oldest first
//	GET, POST, DELETE /api/faults          the registry of faults; see [sim.Faults.Handler]
func (s *Simulator) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		if to := r.URL.Query().Get("to"); to != "" {
			_ = pages.ExecuteTemplate(w, "messages.html", s.messagesView(to))
			return
		}
		_ = pages.ExecuteTemplate(w, "people.html", s.peopleView())
	})
	mux.HandleFunc("GET /api/messages", func(w http.ResponseWriter, r *http.Request) {
		sim.WriteJSON(w, http.StatusOK, map[string][]Message{"messages": s.Messages(r.URL.Query().Get("to"))})
	})
	mux.Handle("/api/faults", s.faults.Handler())
	return sim.Pages(mux)
}

// listed is a line of the first page.
type listed struct {
	Name, To string
	Count    int
}

// peopleView is the people, and every address that belongs to nobody of them and has messages.
func (s *Simulator) peopleView() []listed {
	list := []listed{}
	known := map[string]bool{}
	for _, p := range s.people {
		to := p.Email
		if to == "" {
			to = p.Phone
		}
		known[strings.ToLower(p.Email)], known[national(p.Phone)] = true, true
		list = append(list, listed{p.Name, to, len(s.Messages(to))})
	}
	for _, m := range s.Messages("") {
		to, phone := strings.ToLower(m.To), national(m.Phone)
		if to != "" && known[to] || phone != "" && known[phone] {
			continue
		}
		if to == "" {
			to = phone
		}
		known[to] = true
		list = append(list, listed{to, to, len(s.Messages(to))})
	}
	return list[:min(len(list), maxListed)]
}

// shown is a message on a page.
type shown struct {
	N int
	Message
	Way string // how it came, in Korean
}

type messagesView struct {
	Name, To string
	Messages []shown
}

func (s *Simulator) messagesView(to string) messagesView {
	view := messagesView{Name: to, To: to}
	if p := s.person(to); p.Name != "" {
		view.Name = p.Name + "님"
	}
	messages := s.Messages(to)
	slices.Reverse(messages)
	for n, m := range messages {
		way := "전자우편"
		if m.Channel == webhookChannel {
			way = "기관 알림"
		}
		view.Messages = append(view.Messages, shown{n + 1, m, way})
	}
	return view
}

// piece is a part of a line: plain text, or a link.
type piece struct{ Text, Link string }

var links = regexp.MustCompile(`https?://[^\s<>"]+`)

// paragraphs are a text's paragraphs, each as lines, each as pieces, with its links.
func paragraphs(text string) [][][]piece {
	var all [][][]piece
	for paragraph := range strings.SplitSeq(strings.TrimSpace(text), "\n\n") {
		var lines [][]piece
		for line := range strings.SplitSeq(paragraph, "\n") {
			var pieces []piece
			rest := 0
			for _, at := range links.FindAllStringIndex(line, -1) {
				pieces = append(pieces, piece{Text: line[rest:at[0]]}, piece{line[at[0]:at[1]], line[at[0]:at[1]]})
				rest = at[1]
			}
			lines = append(lines, append(pieces, piece{Text: line[rest:]}))
		}
		all = append(all, lines)
	}
	return all
}
