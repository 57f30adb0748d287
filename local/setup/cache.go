package setup

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// assemblies is a folder that keeps cloud assemblies, each in a folder named by what it was made of. An entry is complete
// as soon as it is there, and never changes.
type assemblies string

// maxAge is how long an unused assembly is kept.
const maxAge = 24 * time.Hour

// openAssemblies returns the project's assemblies, without those unused for maxAge.
func (p Project) openAssemblies() (assemblies, error) {
	build, err := p.buildDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(build, "assemblies")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil && time.Since(info.ModTime()) > maxAge {
			os.RemoveAll(filepath.Join(dir, e.Name()))
		}
	}
	return assemblies(dir), nil
}

// assemblyKey names what an assembly is made of: the app, to the byte, and the environment that it is given.
func assemblyKey(exe string, env []string) (string, error) {
	app, err := sumOf(exe)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%x", sha256.Sum256(fmt.Appendf(nil, "%q%s", env, app))), nil
}

// sumOf is a file's hash. It is kept beside the file, with the file's size and time: the app has 90 MB.
func sumOf(file string) (string, error) {
	info, err := os.Stat(file)
	if err != nil {
		return "", err
	}
	state := fmt.Sprintf("%d bytes of %s: ", info.Size(), info.ModTime().Format(time.RFC3339Nano))
	kept := file + ".sha256"
	if text, err := os.ReadFile(kept); err == nil && strings.HasPrefix(string(text), state) {
		return string(text[len(state):]), nil
	}
	content, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer content.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, content); err != nil {
		return "", err
	}
	sum := hex.EncodeToString(hash.Sum(nil))
	os.WriteFile(kept, []byte(state+sum), 0o644) // or it is hashed again
	return sum, nil
}

// find returns the folder of an assembly, and marks it as used.
func (a assemblies) find(key string) (dir string, ok bool) {
	dir = filepath.Join(string(a), key)
	return dir, os.Chtimes(dir, time.Time{}, time.Now()) == nil
}

// put moves an assembly in. If another program was faster, the same one is there.
func (a assemblies) put(key, from string) (dir string, err error) {
	dir = filepath.Join(string(a), key)
	if err := os.Rename(from, dir); err != nil {
		if _, ok := a.find(key); !ok {
			return "", fmt.Errorf("keep the cloud assembly: %w", err)
		}
	}
	return dir, nil
}

// validDir returns the folder in which a state machine's engine remembers the definitions that it has found valid. Another
// package-lock.json, and so perhaps another interpreter, has another folder. It is empty if there can be none.
func (p Project) validDir() (string, error) {
	lock, err := os.ReadFile(filepath.Join(p.Root, "package-lock.json"))
	if err != nil {
		return "", fmt.Errorf("look at the npm packages: %w", err)
	}
	build, err := p.buildDir()
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(lock)
	dir := filepath.Join(build, "valid", hex.EncodeToString(sum[:8]))
	if os.MkdirAll(dir, 0o755) != nil {
		return "", nil
	}
	return dir, nil
}
