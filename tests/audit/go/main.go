// Auditcheck reads an audit log's folder with Go's own transparency log packages (golang.org/x/mod/sumdb) and those of
// transparency-dev, which share no code with ron-kms: both signatures of the checkpoint, every record's inclusion, and
// that the log goes on from an older checkpoint.
//
//	auditcheck <folder> [<older checkpoint> [<tlog-proof>]]
package main

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/transparency-dev/formats/log"
	fnote "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const height = 8

// tiles reads C2SP tlog-tiles; sumdb's own paths have the height in them.
type tiles struct {
	folder string
}

func (t tiles) Height() int { return height }

func (t tiles) SaveTiles([]tlog.Tile, [][]byte) {}

func (t tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	var found [][]byte
	for _, tile := range wanted {
		path := strings.Replace(tile.Path(), fmt.Sprintf("tile/%d/", height), "tile/", 1)
		data, err := os.ReadFile(filepath.Join(t.folder, path))
		if err != nil {
			return nil, err
		}
		found = append(found, data)
	}
	return found, nil
}

func main() {
	if err := run(os.Args[1], os.Args[2:]); err != nil {
		fmt.Println("refused:", err)
		os.Exit(1)
	}
}

func run(folder string, more []string) error {
	keys, err := verifiers(filepath.Join(folder, "keys"))
	if err != nil {
		return err
	}
	tree, err := checkpoint(filepath.Join(folder, "checkpoint"), keys)
	if err != nil {
		return err
	}
	reader := tlog.TileHashReader(tlog.Tree{N: int64(tree.Size), Hash: hash(tree.Hash)}, tiles{folder})
	if err := records(folder, tree, reader); err != nil {
		return err
	}
	if len(more) > 0 {
		if err := grown(more[0], keys, tree, reader); err != nil {
			return err
		}
	}
	if len(more) > 1 {
		if err := proof(more[1], keys); err != nil {
			return err
		}
	}
	fmt.Printf("%s %d %x\n", tree.Origin, tree.Size, tree.Hash)
	return nil
}

func verifiers(file string) (note.Verifiers, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var all []note.Verifier
	for _, line := range strings.Fields(string(text)) {
		verifier, err := fnote.NewVerifier(line)
		if err != nil {
			return nil, err
		}
		all = append(all, verifier)
	}
	if len(all) != 2 {
		return nil, fmt.Errorf("%d keys, not 2", len(all))
	}
	return note.VerifierList(all...), nil
}

func checkpoint(file string, keys note.Verifiers) (log.Checkpoint, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return log.Checkpoint{}, err
	}
	return open(data, keys)
}

func open(data []byte, keys note.Verifiers) (log.Checkpoint, error) {
	var tree log.Checkpoint
	signed, err := note.Open(data, keys)
	if err != nil {
		return tree, err
	}
	if len(signed.Sigs) != 2 || len(signed.UnverifiedSigs) != 0 {
		return tree, fmt.Errorf("%d signatures hold, %d are unknown", len(signed.Sigs), len(signed.UnverifiedSigs))
	}
	rest, err := tree.Unmarshal([]byte(signed.Text))
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("the checkpoint has extension lines")
	}
	return tree, err
}

// records proves each record of every bundle to be where it stands.
func records(folder string, tree log.Checkpoint, reader tlog.HashReader) error {
	for first := uint64(0); first < tree.Size; first += 1 << height {
		width := min(1<<height, tree.Size-first)
		tile := tlog.Tile{H: height, L: -1, N: int64(first >> height), W: int(width)}
		path := strings.Replace(tile.Path(), fmt.Sprintf("tile/%d/data/", height), "tile/entries/", 1)
		data, err := os.ReadFile(filepath.Join(folder, path))
		if err != nil {
			return err
		}
		for index := first; index < first+width; index++ {
			if len(data) < 2 || len(data) < 2+int(binary.BigEndian.Uint16(data)) {
				return fmt.Errorf("%s ends within record %d", path, index)
			}
			size := 2 + int(binary.BigEndian.Uint16(data))
			inclusion, err := tlog.ProveRecord(int64(tree.Size), int64(index), reader)
			if err != nil {
				return err
			}
			leaf := tlog.RecordHash(data[2:size])
			if err := tlog.CheckRecord(inclusion, int64(tree.Size), hash(tree.Hash), int64(index), leaf); err != nil {
				return fmt.Errorf("record %d: %v", index, err)
			}
			data = data[size:]
		}
		if len(data) > 0 {
			return fmt.Errorf("%s is too long", path)
		}
	}
	return nil
}

// grown proves that the log goes on from an older checkpoint.
func grown(file string, keys note.Verifiers, tree log.Checkpoint, reader tlog.HashReader) error {
	old, err := checkpoint(file, keys)
	if err != nil {
		return err
	}
	consistency, err := tlog.ProveTree(int64(tree.Size), int64(old.Size), reader)
	if err != nil {
		return err
	}
	return tlog.CheckTree(consistency, int64(tree.Size), hash(tree.Hash), int64(old.Size), hash(old.Hash))
}

// proof checks a text as ron-kms makes it, C2SP tlog-proof, with the record in its extra line.
func proof(file string, keys note.Verifiers) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	head, signed, _ := bytes.Cut(data, []byte("\n\n"))
	tree, err := open(signed, keys)
	if err != nil {
		return err
	}
	lines := strings.Split(string(head), "\n")
	if len(lines) < 3 || lines[0] != "c2sp.org/tlog-proof@v1" {
		return fmt.Errorf("not a proof")
	}
	extra, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(lines[1], "extra "))
	if err != nil {
		return err
	}
	record, err := base64.StdEncoding.DecodeString(strings.Split(string(extra), `"`)[3])
	if err != nil {
		return err
	}
	index, err := strconv.ParseInt(strings.TrimPrefix(lines[2], "index "), 10, 64)
	if err != nil {
		return err
	}
	var inclusion tlog.RecordProof
	for _, line := range lines[3:] {
		step, err := tlog.ParseHash(line)
		if err != nil {
			return err
		}
		inclusion = append(inclusion, step)
	}
	return tlog.CheckRecord(inclusion, int64(tree.Size), hash(tree.Hash), index, tlog.RecordHash(record))
}

func hash(data []byte) (found tlog.Hash) {
	copy(found[:], data)
	return found
}
