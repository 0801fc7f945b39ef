package method

import (
	"slices"
	"strconv"
	"strings"
)

// Level is how strongly a proof binds the person, 1 to 3. Korea publishes no official ladder, so the
// ladder is the deployment's: DefaultLevels is ours, and the configuration may move a method.
type Level int

// DefaultLevels maps each method to its level where the configuration says nothing.
func DefaultLevels() map[Method]Level {
	return map[Method]Level{MobileID: 3, Simple: 2, JointCert: 3, FinancialCert: 3}
}

// acrPrefix starts every authentication context class reference of the broker. The values are URNs
// of our own, as OIDC Core §2 allows by agreement between the parties.
const acrPrefix = "urn:anyid:acr:"

// ACR is the level as an OpenID authentication context class reference.
func (l Level) ACR() string { return acrPrefix + strconv.Itoa(int(l)) }

// ACRs lists the supported acr values, weakest first.
func ACRs() []string { return []string{Level(1).ACR(), Level(2).ACR(), Level(3).ACR()} }

// ParseACR returns the level that an acr value asks for; ok is false for a value that is not ours.
func ParseACR(acr string) (l Level, ok bool) {
	digits, ours := strings.CutPrefix(acr, acrPrefix)
	if !ours || !slices.Contains(ACRs(), acr) {
		return 0, false
	}
	n, err := strconv.Atoi(digits)
	return Level(n), err == nil
}

// methodPrefix starts the acr values that name a method instead of a level.
const methodPrefix = "urn:anyid:method:"

// ACR is the method as an authentication context class reference, for a site that asks for one method.
func (m Method) ACR() string { return methodPrefix + string(m) }

// ACRsOfMethods lists the acr values that name a method.
func ACRsOfMethods() []string {
	acrs := make([]string, 0, len(All()))
	for _, m := range All() {
		acrs = append(acrs, m.ACR())
	}
	return acrs
}

// ParseMethodACR returns the method that an acr value asks for; ok is false for a value that names none of ours.
func ParseMethodACR(acr string) (m Method, ok bool) {
	name, ours := strings.CutPrefix(acr, methodPrefix)
	if !ours {
		return "", false
	}
	m, err := Parse(name)
	return m, err == nil
}
