// Package npki reads and writes the formats of Korea's National Public Key Infrastructure: joint
// certificates (공동인증서) and financial certificates (금융인증서).
package npki
