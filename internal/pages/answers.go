package pages

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"strings"

	"github.com/a-h/templ"

	"github.com/anyid/anyid/internal/fault"
	"github.com/anyid/anyid/internal/grant"
	"github.com/anyid/anyid/internal/logout"
	"github.com/anyid/anyid/internal/oidc"
	"github.com/anyid/anyid/internal/site"
	"github.com/anyid/anyid/internal/web"
)

// Answers are the pages that the OIDC endpoints show when they send the browser nowhere else.
type Answers struct {
	Views *Views
	Sites *site.Directory
}

var _ oidc.Pages = Answers{}

// Error shows an error that must not go to a site.
func (p Answers) Error(w http.ResponseWriter, r *http.Request, status int, code string) {
	p.Views.Error(w, r, status, ErrorView{Code: ErrorCode(code)})
}

// FormPost hands the values to the request's redirect URI by POST.
func (p Answers) FormPost(w http.ResponseWriter, r *http.Request, req grant.Request, values url.Values) {
	view := FormPostView{Page: Page{UILocales: req.UILocales}, Action: registeredURL(req.RedirectURI), Fields: hidden(values)}
	if registered, err := p.Sites.Lookup(req.Site); err == nil {
		view.Site = siteView(registered)
	}
	p.Views.FormPost(w, r, http.StatusOK, view)
}

// LogoutConfirm asks whether to sign out, and where there is a choice from where.
func (p Answers) LogoutConfirm(w http.ResponseWriter, r *http.Request, ask oidc.LogoutAsk) {
	view := LogoutView{ConfirmURL: ask.Action, StayURL: stayPath, Fields: hidden(ask.Values)}
	if ask.Site != nil {
		shown := siteView(ask.Site)
		view.Site, view.StayURL = &shown, stayPath+"?"+url.Values{"site": {ask.Site.ID}}.Encode()
		if view.Choice = len(ask.Others) > 0; view.Choice {
			view.Sites = append(view.Sites, shown)
		}
	}
	for _, other := range ask.Others {
		view.Sites = append(view.Sites, siteView(other))
	}
	p.Views.Logout(w, r, http.StatusOK, view)
}

// LoggedOut says that the session has ended, or was left at one site, and shows who was told.
func (p Answers) LoggedOut(w http.ResponseWriter, r *http.Request, done oidc.LogoutDone) {
	view := LoggedOutView{Left: done.Left, Receipt: receiptOf(p.Sites, done.Deliveries, receiptPath), ContinueURL: registeredURL(done.Continue)}
	if done.Site != nil {
		shown := siteView(done.Site)
		view.Site, view.ReturnURL = &shown, done.Site.HomeURL
	}
	if len(done.Frames) > 0 {
		// A frame that cannot be named in the policy could not be loaded: then no frame is. The sites are told all
		// the same where they can be called.
		if err := web.AllowFrames(w, done.Frames...); err != nil {
			p.Views.log.LogAttrs(r.Context(), slog.LevelWarn, "front-channel logout left out", slog.Any("error", err))
		} else {
			for _, frame := range done.Frames {
				view.Frames = append(view.Frames, templ.SafeURL(frame)) // registered by a site, and in the policy
			}
		}
	}
	p.Views.LoggedOut(w, r, http.StatusOK, view)
}

// registeredURL is an address that a site has registered, which may be of a scheme of its own (RFC 8252 §7.1), as
// templates let it through. Those that run as script are left out once more.
func registeredURL(address string) templ.SafeURL {
	scheme, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(address)), ":")
	switch scheme {
	case "javascript", "data", "vbscript", "blob", "file":
		return ""
	}
	return templ.SafeURL(address) // registered, and no script
}

// receiptOf shows how far sites are told; nil where none is to be.
func receiptOf(sites *site.Directory, deliveries []logout.Delivery, again string) *Receipt {
	if len(deliveries) == 0 {
		return nil
	}
	receipt := &Receipt{AgainURL: again}
	for _, d := range deliveries {
		shown := Site{Name: Text{Korean: d.Site}}
		if registered, err := sites.Lookup(d.Site); err == nil {
			shown = siteView(registered)
		}
		receipt.Deliveries = append(receipt.Deliveries, Delivery{Site: shown, State: d.State, Attempts: d.Attempts, NextAt: d.NextAt})
	}
	return receipt
}

// receiptPath shows how far the sites are told of this browser's last logout.
const receiptPath = "/logout/receipt"

func (s *Server) receipt(w http.ResponseWriter, r *http.Request) {
	receipt, err := s.lastReceipt(r, receiptPath)
	if err == nil && receipt == nil {
		err = fault.New(fault.NotFound, "pages: no receipt")
	}
	if err != nil {
		s.fail(w, r, nil, err)
		return
	}
	s.Views.Receipt(w, r, http.StatusOK, ReceiptView{Receipt: receipt})
}

// lastReceipt is the receipt that the browser's cookie names; nil: there is none.
func (s *Server) lastReceipt(r *http.Request, again string) (*Receipt, error) {
	batch := s.Cookies.Get(r, logout.ReceiptCookie)
	if batch == "" {
		return nil, nil
	}
	deliveries, err := s.Logout.Receipt(r.Context(), batch)
	if err != nil {
		return nil, err
	}
	return receiptOf(s.Sites, deliveries, again), nil
}

// told lets the browser have the receipt of the batch, and waits a moment for the sites, so that it shows something.
func (s *Server) told(w http.ResponseWriter, r *http.Request, batch string) {
	if batch == "" {
		return
	}
	s.Cookies.Set(w, logout.ReceiptCookie, batch, hour)
	s.await(r, batch)
}

// await waits a moment for the sites of the batch.
func (s *Server) await(r *http.Request, batch string) {
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	if _, err := s.Logout.Await(ctx, batch); err != nil { // the page that follows asks again
		s.Log.LogAttrs(r.Context(), slog.LevelWarn, "sites not waited for", slog.Any("error", err))
	}
}

// stayPath is where the page that asks whether to sign out posts a no to.
const stayPath = "/logout/stay"

// stay says that nobody was signed out, with a way to the site that the citizen came from.
func (s *Server) stay(w http.ResponseWriter, r *http.Request) {
	view := LoggedOutView{Stayed: true}
	if from, err := s.Sites.Lookup(r.URL.Query().Get("site")); err == nil {
		shown := siteView(from)
		view.Site, view.ReturnURL = &shown, from.HomeURL
	}
	s.Views.LoggedOut(w, r, http.StatusOK, view)
}

// hidden are the values as hidden fields.
func hidden(values url.Values) []Field {
	fields := make([]Field, 0, len(values))
	for name, all := range values {
		for _, value := range all {
			fields = append(fields, Field{name, value})
		}
	}
	return fields
}
