/*
 * See scenario_text.h.
 */
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "scenario_text.h"

const char *file_name;

_Noreturn void stop(size_t line, const char *format, ...) {
    va_list args;
    va_start(args, format);
    fprintf(stderr, "%s:%zu: ", file_name, line);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    exit(2);
}

void append(struct text *text, const char *data, size_t len) {
    if (text->len + len + 1 > text->cap) {
        text->cap = (text->len + len + 1) * 2;
        text->data = realloc(text->data, text->cap);
        if (text->data == NULL) {
            stop(0, "no memory");
        }
    }
    if (len > 0) {
        memcpy(text->data + text->len, data, len);
    }
    text->len += len;
    text->data[text->len] = '\0';
}

void append_string(struct text *text, const char *string) {
    append(text, string, strlen(string));
}

static bool is_name_char(char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
}

bool is_capture(const char *pattern, struct text *name) {
    size_t len = strlen(pattern);
    name->len = 0;
    append(name, "", 0);
    if (len < 3 || pattern[0] != '<' || pattern[len - 1] != '>') {
        return false;
    }
    if (strcmp(pattern, "<*>") == 0) {
        return true;
    }
    for (size_t i = 1; i < len - 1; i++) {
        if (!is_name_char(pattern[i])) {
            return false;
        }
    }
    append(name, pattern + 1, len - 2);
    return true;
}

/* The text captured under the name of `len` characters, as a JSON string.  NULL when there is none; that is a mistake unless a
 * step failed before. */
static json_t *captured(const struct section *section, const char *name, size_t len, size_t line) {
    char copy[64];
    if (len >= sizeof copy) {
        stop(line, "a name of %zu characters", len);
    }
    memcpy(copy, name, len);
    copy[len] = '\0';
    json_t *value = json_object_get(section->captured, copy);
    if (value == NULL && !section->has_failed) {
        stop(line, "%s was not captured in this section", copy);
    }
    return value;
}

/* How long the name is that a text begins with. */
static size_t leading_name(const char *text) {
    size_t len = 0;
    while (is_name_char(text[len])) {
        len++;
    }
    return islower((unsigned char)text[0]) ? len : 0;
}

/* `name`, behind the $ at `*in`, which goes behind it.  False as for replace. */
static bool append_captured(const struct section *section, const char **in, size_t line, struct text *out) {
    size_t len = leading_name(*in);
    if (len == 0) {
        stop(line, "a lone $");
    }
    json_t *value = captured(section, *in, len, line);
    if (value == NULL) {
        return false;
    }
    char *quoted = json_dumps(value, JSON_ENCODE_ANY);
    if (quoted == NULL) {
        stop(line, "no memory");
    }
    append(out, quoted + 1, strlen(quoted) - 2);
    free(quoted);
    *in += len;
    return true;
}

/* `x,n)` of %repeat, at `*in`, which goes behind it. */
static void append_repeated(const char **in, size_t line, struct text *out) {
    const char *what = *in;
    size_t what_len = strcspn(what, ",)\"\\");
    const char *number = what + what_len + 1;
    size_t digits = what[what_len] == ',' ? strspn(number, "0123456789") : 0;
    if (what_len == 0 || digits == 0 || digits > 7 || number[digits] != ')') {
        stop(line, "a malformed %%repeat(text,count)");
    }
    for (unsigned long left = strtoul(number, NULL, 10); left > 0; left--) {
        append(out, what, what_len);
    }
    *in = number + digits + 1;
}

/* Encrypts with RSAES-OAEP-SHA-256 under a SubjectPublicKeyInfo in Base64; the ciphertext goes out in Base64. */
static void append_encrypted(const char *public_key, const unsigned char *bytes, size_t len, size_t line, struct text *out) {
    size_t chars = strlen(public_key);
    unsigned char *der = malloc(chars + 1);
    if (der == NULL) {
        stop(line, "no memory");
    }
    const unsigned char *at = der;
    int der_len = EVP_DecodeBlock(der, (const unsigned char *)public_key, (int)chars);
    EVP_PKEY *key = der_len < 0 ? NULL : d2i_PUBKEY(NULL, &at, der_len);
    EVP_PKEY_CTX *encryption = key == NULL ? NULL : EVP_PKEY_CTX_new(key, NULL);
    unsigned char encrypted[512];
    char text[sizeof encrypted / 3 * 4 + 5];
    size_t encrypted_len = sizeof encrypted;
    if (encryption == NULL || EVP_PKEY_encrypt_init(encryption) != 1 ||
        EVP_PKEY_CTX_set_rsa_padding(encryption, RSA_PKCS1_OAEP_PADDING) != 1 ||
        EVP_PKEY_CTX_set_rsa_oaep_md(encryption, EVP_sha256()) != 1 ||
        EVP_PKEY_CTX_set_rsa_mgf1_md(encryption, EVP_sha256()) != 1 ||
        EVP_PKEY_encrypt(encryption, encrypted, &encrypted_len, bytes, len) != 1) {
        stop(line, "nothing can be wrapped under %s", public_key);
    }
    EVP_EncodeBlock((unsigned char *)text, encrypted, (int)encrypted_len);
    append_string(out, text);
    EVP_PKEY_CTX_free(encryption);
    EVP_PKEY_free(key);
    free(der);
}

/* `name,hex)` of %wrap, at `*in`, which goes behind it.  False as for replace. */
static bool append_wrapped(const struct section *section, const char **in, size_t line, struct text *out) {
    const char *name = *in;
    size_t len = leading_name(name);
    const char *hex = name + len + 1;
    size_t digits = name[len] == ',' ? strspn(hex, "0123456789abcdef") : 0;
    unsigned char bytes[128];
    if (len == 0 || digits % 2 != 0 || digits > 2 * sizeof bytes || hex[digits] != ')') {
        stop(line, "a malformed %%wrap(name,hex)");
    }
    for (size_t i = 0; i < digits; i += 2) {
        const char byte[] = {hex[i], hex[i + 1], '\0'};
        bytes[i / 2] = (unsigned char)strtoul(byte, NULL, 16);
    }
    json_t *public_key = captured(section, name, len, line);
    if (public_key == NULL) {
        return false;
    }
    append_encrypted(json_string_value(public_key), bytes, digits / 2, line, out);
    *in = hex + digits + 1;
    return true;
}

/* Moves `*in` behind `word` if that is what it begins with. */
static bool skip(const char **in, const char *word) {
    size_t len = strlen(word);
    bool begins = strncmp(*in, word, len) == 0;
    *in += begins ? len : 0;
    return begins;
}

bool replace(const struct section *section, const char *in, size_t line, struct text *out) {
    out->len = 0;
    append(out, "", 0);
    for (;;) {
        size_t plain = strcspn(in, "$%");
        append(out, in, plain);
        in += plain;
        if (in[0] == '\0') {
            return true;
        }
        if (in[0] == in[1]) {
            append(out, in, 1);
            in += 2;
        } else if (skip(&in, "$")) {
            if (!append_captured(section, &in, line, out)) {
                return false;
            }
        } else if (skip(&in, "%repeat(")) {
            append_repeated(&in, line, out);
        } else if (skip(&in, "%wrap(")) {
            if (!append_wrapped(section, &in, line, out)) {
                return false;
            }
        } else {
            stop(line, "a lone %%");
        }
    }
}
