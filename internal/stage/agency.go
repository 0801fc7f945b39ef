package stage

import (
	"fmt"
	"net/http"

	"github.com/anyid/anyid/internal/config"
	"github.com/anyid/anyid/internal/sim/agency"
)

// openAgency starts the agencies that verify identities by phone and i-PIN, with their windows and the phones on
// which their codes arrive.
func (s *Stage) openAgency() (err error) {
	var people []agency.Person
	for i, p := range s.People {
		people = append(people, p.atAgency(i))
	}
	if s.Agency, err = agency.New(agency.Config{People: people}); err != nil {
		return fmt.Errorf("stage: agencies: %w", err)
	}
	mux := http.NewServeMux()
	api := s.Agency.APIHandler()
	for _, path := range []string{"/ido/", "/digital/", "/uas/", "/okcert/"} {
		mux.Handle(path, api)
	}
	mux.Handle("/", s.Agency.WindowHandler())
	s.handlers[agencyPart] = mux
	return nil
}

// atAgency gives the i-th person a carrier, each in its turn.
func (p Person) atAgency(i int) agency.Person {
	carriers := []agency.Carrier{agency.SKT, agency.KT, agency.LGU, agency.MVNO}
	return agency.Person{
		Name: p.Name, BirthDate: p.BirthDate, Gender: p.Gender, Foreigner: p.Foreigner, Phone: p.Phone, Carrier: carriers[i%len(carriers)], CI: p.ci(),
	}
}

// trustAgency configures the broker for NICE, by phone and by i-PIN.
func (s *Stage) trustAgency(settings *config.Config) {
	id := &settings.Identity
	id.Phone, id.IPIN = "nice", "nice"
	id.NICE.URL, id.NICE.ClientID, id.NICE.ClientSecret = s.AgencyURL, s.Agency.ClientID(), config.Secret(s.Agency.ClientSecret())
	id.NICE.PhoneService, id.NICE.IPINService = agency.PhoneService, agency.IPINService
}
