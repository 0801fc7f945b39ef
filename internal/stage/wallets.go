package stage

import (
	"fmt"

	"github.com/anyid/anyid/internal/sim/mobileid"
)

// openWallets starts the wallets with the mobile IDs, their issuers, the push service, and the ports of a
// registered institution, on one listener.
func (s *Stage) openWallets() (err error) {
	var people []mobileid.Person
	for _, p := range s.People {
		people = append(people, p.atWallet())
	}
	if s.MobileID, err = mobileid.New(mobileid.Config{URL: s.WalletURL, People: people, HTTP: s.Client, AutoApprove: s.auto}); err != nil {
		return fmt.Errorf("stage: mobile IDs: %w", err)
	}
	s.handlers[walletPart] = s.MobileID.Handler()
	return nil
}

func (p Person) atWallet() mobileid.Person {
	number := p.ResidentNumber()
	return mobileid.Person{
		Name: p.Name, English: p.NameEnglish, BirthDate: p.BirthDate, Gender: p.Gender, Foreigner: p.Foreigner, CI: p.ci(), Phone: p.Phone,
		Number: number[:min(len(number), 7)],
	}
}
