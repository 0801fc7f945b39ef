package stage

import (
	"context"
	"fmt"
	"testing"

	"github.com/anyid/anyid/internal/authn"
	"github.com/anyid/anyid/internal/method"
	"github.com/anyid/anyid/internal/person"
)

// prove lets the citizen prove who they are by a method, from its choice to whatever comes after it.
func (c *Citizen) prove(ctx context.Context, m method.Method) error {
	switch m {
	case method.Simple:
		return c.Prove(ctx, "kakao")
	case method.JointCert:
		return c.ProveJoint(ctx, 0)
	case method.FinancialCert:
		return c.ProveFinancial(ctx)
	case method.MobileID:
		return c.ProveMobile(ctx, "mip", authn.Push, 0)
	}
	return fmt.Errorf("stage: nobody proves by %s", m)
}

// holders are people who have everything, one for each cell of the matrix. Of their joint certificates some are
// from the authority that tells the CI, and some from one that does not.
func holders() (people []Person, cells []method.Cell) {
	for _, cell := range method.DefaultLinkPolicy().Cells() {
		for _, c := range []Certificate{{Authority: "yessign", Policy: "1.2.410.200005.1.1.4"}, {Authority: "KICA", Policy: "1.2.410.200004.5.2.1.2"}} {
			i := len(people)
			people = append(people, Person{
				Name: "오" + string(rune('가'+28*i)) + "람", Gender: []string{"female", "male"}[i%2], BirthDate: fmt.Sprintf("19%02d-%02d-%02d", 60+i, 1+i%12, 1+i%28),
				Phone: fmt.Sprintf("010000010%02d", i), Password: "certificate#1", PIN: "246810", Certificates: []Certificate{c},
			})
			cells = append(cells, cell)
		}
	}
	return people, cells
}

// TestMatrixCells goes through the cells of the linking matrix as citizens do, in two browsers, on every set of
// stores: who registered first by one method comes back by another, is asked to register it where the matrix says
// so, and is one person in the end, whom the method belongs to.
func TestMatrixCells(t *testing.T) {
	t.Parallel()
	for _, p := range plays {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			people, cells := holders()
			c := Config{People: people}
			stop, err := p.stores(&c)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(stop)
			s := certified(t, c)
			for i, cell := range cells {
				t.Run(fmt.Sprintf("%s then %s (%s)", cell.First, cell.Now, people[i].Certificates[0].Authority), func(t *testing.T) {
					t.Parallel()
					s.cell(t, people[i], cell)
				})
			}
		})
	}
}

func (s *Stage) cell(t *testing.T, who Person, cell method.Cell) {
	t.Helper()
	login := func(m method.Method) (asked bool) {
		t.Helper()
		c := s.atPortal(t, who)
		if err := c.prove(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		asked = c.Has("register")
		s.ends(t, c, "")
		return asked
	}
	if !login(cell.First) {
		t.Error("a stranger is not asked to register")
	}
	registered, links := s.known(t, who)
	if registered.First != cell.First || len(links) != 1 {
		t.Errorf("first by %s, with %d methods", registered.First, len(links))
	}
	if asked, want := login(cell.Now), cell.Rule == method.Register; asked != want {
		t.Errorf("asked to register: %t, want %t", asked, want)
	}
	again, links := s.known(t, who)
	want := 2
	if cell.First == cell.Now {
		want = 1
	}
	if again.ID != registered.ID || again.First != cell.First || len(links) != want {
		t.Errorf("became %s, first by %s, with %d methods, want %d", again.ID, again.First, len(links), want)
	}
	if last := links[len(links)-1]; last.Method != cell.Now || want == 2 && last.Rule != cell.Rule {
		t.Errorf("linked %+v", last)
	}
	for _, m := range []method.Method{cell.First, cell.Now} {
		if login(m) {
			t.Errorf("%s is asked for once more", m)
		}
	}
}

// known is the one person with somebody's CI, and their methods.
func (s *Stage) known(t *testing.T, who Person) (person.Person, []person.Link) {
	t.Helper()
	found, err := s.App.Login.People.ByCI(t.Context(), s.App.Login.Index.Of("ci", who.ci()))
	if err != nil {
		t.Fatal(err)
	}
	links, err := s.App.Login.People.Links(t.Context(), found.ID)
	if err != nil {
		t.Fatal(err)
	}
	return found, links
}
