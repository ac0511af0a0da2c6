// Command macaroons does with tokens what Go's macaroon package does: it mints, narrows and verifies them.
//
//	macaroons mint KEY IDENTIFIER CAVEAT...
//	macaroons narrow TOKEN CAVEAT...
//	macaroons verify KEY TOKEN      prints the caveats that were asked for, one a line
//
// KEY is hexadecimal, a token base64url without padding.
package main

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"os"

	"gopkg.in/macaroon.v2"
)

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func read(token string) *macaroon.Macaroon {
	data, err := base64.RawURLEncoding.DecodeString(token)
	fail(err)
	var m macaroon.Macaroon
	fail(m.UnmarshalBinary(data))
	return &m
}

func write(m *macaroon.Macaroon, caveats []string) {
	for _, caveat := range caveats {
		fail(m.AddFirstPartyCaveat([]byte(caveat)))
	}
	data, err := m.MarshalBinary()
	fail(err)
	fmt.Println(base64.RawURLEncoding.EncodeToString(data))
}

func key(text string) []byte {
	data, err := hex.DecodeString(text)
	fail(err)
	return data
}

func main() {
	arguments := os.Args[2:]
	switch os.Args[1] {
	case "mint":
		m, err := macaroon.New(key(arguments[0]), []byte(arguments[1]), "ron-kms", macaroon.V2)
		fail(err)
		write(m, arguments[2:])
	case "narrow":
		write(read(arguments[0]), arguments[1:])
	case "verify":
		fail(read(arguments[1]).Verify(key(arguments[0]), func(caveat string) error {
			fmt.Println(caveat)
			return nil
		}, nil))
	}
}
