package qnet

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// Member is a member from before Any-ID, for the configuration.
type Member struct {
	ID          string // login ID: 4 to 20 letters and digits, a letter first; case does not count
	Password    string // by the site's rule; empty: no ID/password login
	Name        string
	NameEnglish string
	BirthDate   string // YYYY-MM-DD
	Gender      string // "male", "female" or ""
	Nationality string // "domestic" or "foreign"
	Group       bool   // logs in on the group tab, and never with Any-ID
	CI          string // 88 characters, by which Any-ID users are recognised; kept as a keyed hash only
}

// member is a member as stored.
type member struct {
	ID          string        `json:"id"`
	Name        string        `json:"name"`
	NameEnglish string        `json:"name_english,omitempty"`
	BirthDate   string        `json:"birth_date"`
	Gender      string        `json:"gender,omitempty"`
	Nationality string        `json:"nationality,omitempty"`
	Group       bool          `json:"group,omitempty"`
	Photo       bool          `json:"photo,omitempty"`
	Password    *passwordHash `json:"password,omitempty"`
	Subject     string        `json:"subject,omitempty"` // at the broker
	CI          string        `json:"ci_hash,omitempty"` // HMAC-SHA256 under the site's key, hex
	Joined      time.Time     `json:"joined"`

	Phone        string        `json:"phone,omitempty"` // digits
	Email        string        `json:"email,omitempty"`
	Certificates []certificate `json:"certificates,omitempty"`
	Applications []application `json:"applications,omitempty"`
}

// certificate says that a member's certificate of a kind is registered here.
type certificate struct {
	Kind       string    `json:"kind"` // the broker's name of the method
	Registered time.Time `json:"registered"`
}

// application is a member's for an exam.
type application struct {
	Number   int       `json:"number"` // from 1, the member's own count
	Exam     string    `json:"exam"`
	Applied  time.Time `json:"applied"`
	Canceled time.Time `json:"canceled,omitzero"`
}

// Exam is the exam applied for.
func (a application) Title() string {
	for _, e := range examList {
		if e.ID == a.Exam {
			return e.Name + " " + e.Round
		}
	}
	return a.Exam
}

var (
	errIDTaken   = errors.New("qnet: the ID is taken")
	errIsMember  = errors.New("qnet: this person is a member already")
	errNoMember  = errors.New("qnet: there is no such member")
	errOtherself = errors.New("qnet: the subject's linking information is not the member's")
)

// members is the site's storage: one JSON document, rewritten as a whole by every change, and the
// photos beside it. A few thousand members are fine; it is a demo site.
type members struct {
	dir string
	key []byte // for the hash of CI; in a file of its own

	mu  sync.Mutex
	all []member
}

// document is the file's content.
type document struct {
	Version int      `json:"version"`
	Members []member `json:"members"`
}

// openMembers opens the storage in dir, which it makes if it is missing.
func openMembers(dir string) (*members, error) {
	if dir == "" {
		return nil, errors.New("qnet: no folder for the members")
	}
	if err := os.MkdirAll(filepath.Join(dir, "photos"), 0o700); err != nil {
		return nil, fmt.Errorf("qnet: folder for the members: %w", err)
	}
	m := &members{dir: dir}
	key, err := os.ReadFile(m.path("ci.key"))
	switch {
	case errors.Is(err, os.ErrNotExist):
		key = make([]byte, 32)
		rand.Read(key)
		if err := writeFile(m.path("ci.key"), []byte(hex.EncodeToString(key))); err != nil {
			return nil, fmt.Errorf("qnet: write the CI key: %w", err)
		}
		m.key = key
	case err != nil:
		return nil, fmt.Errorf("qnet: read the CI key: %w", err)
	default:
		if m.key, err = hex.DecodeString(strings.TrimSpace(string(key))); err != nil || len(m.key) != 32 {
			return nil, errors.New("qnet: the CI key's file does not hold 64 hex digits")
		}
	}
	content, err := os.ReadFile(m.path("members.json"))
	if errors.Is(err, os.ErrNotExist) {
		return m, nil
	}
	if err != nil {
		return nil, fmt.Errorf("qnet: read the members: %w", err)
	}
	var doc document
	if err := json.Unmarshal(content, &doc); err != nil {
		return nil, fmt.Errorf("qnet: read the members: %w", err)
	}
	if doc.Version != 1 {
		return nil, fmt.Errorf("qnet: the members' file has version %d, want 1", doc.Version)
	}
	m.all = doc.Members
	return m, nil
}

func (m *members) path(name ...string) string {
	return filepath.Join(append([]string{m.dir}, name...)...)
}

// hashCI returns the form in which the site keeps linking information; "" stays "".
func (m *members) hashCI(ci string) string {
	if ci == "" {
		return ""
	}
	mac := hmac.New(sha256.New, m.key)
	mac.Write([]byte(ci))
	return hex.EncodeToString(mac.Sum(nil))
}

// seed adds a member of the configuration, unless its ID or its CI is known.
func (m *members) seed(in Member, now time.Time) error {
	id, problem := normalID(in.ID)
	if problem != "" {
		return fmt.Errorf("ID %q is none", in.ID)
	}
	if _, known := m.byID(id); known {
		return nil
	}
	rec := member{
		ID: id, Name: in.Name, NameEnglish: in.NameEnglish, BirthDate: in.BirthDate, Gender: in.Gender,
		Nationality: in.Nationality, Group: in.Group, CI: m.hashCI(in.CI), Joined: now,
	}
	if in.Password != "" {
		if passwordProblem(in.Password) != "" {
			return fmt.Errorf("password of %s breaks the rule", id)
		}
		hash := hashPassword(in.Password)
		rec.Password = &hash
	}
	if err := m.create(rec, nil); err != nil && !errors.Is(err, errIsMember) {
		return err
	}
	return nil
}

// byID returns the member with that normal ID.
func (m *members) byID(id string) (member, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if i := slices.IndexFunc(m.all, func(o member) bool { return o.ID == id }); i >= 0 {
		return m.all[i], true
	}
	return member{}, false
}

// create adds a member, and photo if there is one. Errors are errIDTaken, errIsMember, or internal.
func (m *members) create(rec member, photo []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, o := range m.all {
		if o.ID == rec.ID {
			return errIDTaken
		}
		if (rec.Subject != "" && o.Subject == rec.Subject) || (rec.CI != "" && o.CI == rec.CI) {
			return errIsMember
		}
	}
	if photo != nil {
		if err := writeFile(m.photoPath(rec.ID), photo); err != nil {
			return fmt.Errorf("qnet: store the photo: %w", err)
		}
		rec.Photo = true
	}
	return m.replace(append(slices.Clone(m.all), rec))
}

// photoPath is safe because a normal ID has letters and digits only.
func (m *members) photoPath(id string) string { return m.path("photos", id+".jpg") }

// recognise finds the member behind a login at the broker: by subject, else by the hash of CI, in
// which case the subject becomes the member's. ok is false for a newcomer. The error is errOtherself
// if subject and CI point to different people, or internal.
func (m *members) recognise(subject, ci string) (rec member, ok bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	owner := func(match func(member) bool) int {
		return slices.IndexFunc(m.all, func(o member) bool { return !o.Group && match(o) })
	}
	byCI := -1
	if ci != "" {
		byCI = owner(func(o member) bool { return o.CI == ci })
	}
	i := owner(func(o member) bool { return o.Subject == subject })
	switch {
	case i >= 0 && byCI >= 0 && i != byCI,
		i >= 0 && ci != "" && m.all[i].CI != "" && m.all[i].CI != ci:
		return member{}, false, errOtherself
	case i < 0 && byCI < 0:
		return member{}, false, nil
	case i < 0:
		// A member from before Any-ID, or one who left Any-ID and registered there anew.
		i = byCI
	}
	if m.all[i].Subject == subject && (ci == "" || m.all[i].CI == ci) {
		return m.all[i], true, nil
	}
	all := slices.Clone(m.all)
	all[i].Subject = subject
	if ci != "" {
		all[i].CI = ci
	}
	if err := m.replace(all); err != nil {
		return member{}, false, err
	}
	return all[i], true, nil
}

// change lets do alter a member, unless it returns an error. What it alters it must not share with the
// record it was given.
func (m *members) change(id string, do func(*member) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := slices.Clone(m.all)
	i := slices.IndexFunc(all, func(o member) bool { return o.ID == id })
	if i < 0 {
		return errNoMember
	}
	if err := do(&all[i]); err != nil {
		return err
	}
	return m.replace(all)
}

// replace writes all to the file and, if that worked, takes it for the members. The caller holds mu.
func (m *members) replace(all []member) error {
	content, err := json.MarshalIndent(document{Version: 1, Members: all}, "", "  ")
	if err != nil {
		return fmt.Errorf("qnet: write the members: %w", err)
	}
	if err := writeFile(m.path("members.json"), content); err != nil {
		return fmt.Errorf("qnet: write the members: %w", err)
	}
	m.all = all
	return nil
}

// writeFile puts content under name, so that after a crash the file is the old one or the new one.
func writeFile(name string, content []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(tmp.Name()) }() // in vain after the rename
	_, err = tmp.Write(content)
	if err == nil {
		err = tmp.Sync()
	}
	if err := errors.Join(err, tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), name)
}
