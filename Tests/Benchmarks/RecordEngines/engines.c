// What keeping an idempotency record costs in SQLite, in LMDB and in a log of our own: engines SQLITE|LMDB|LOG FOLDER
//
// As the gateway would use them: event loops (threads) take turns of a few messages each; a turn claims a record for each message,
// and settles it as accepted in the next. SQLite and LMDB have one transaction a turn, the log one write a change. Nothing is
// synced: records are to outlive the process, not the machine. CPU is that of the whole process, less what making keys costs.
//
// cc -O2 -o engines engines.c -lsqlite3 -llmdb -lpthread

#define _GNU_SOURCE
#include <fcntl.h>
#include <lmdb.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { LOOPS = 2, BATCH = 4, MESSAGES = 500000, SCOPE = 32, RECORD = 56, ENTRY = 96 };

static const char *folder;
static MDB_env *environment;
static MDB_dbi records;

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static double cpu(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_utime.tv_sec + usage.ru_stime.tv_sec + (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

static uint64_t next(uint64_t *state) {
    uint64_t z = (*state += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

static void make(uint8_t *scope, uint64_t *state) {
    for (int i = 0; i < SCOPE / 8; i++) {
        uint64_t word = next(state);
        memcpy(scope + 8 * i, &word, 8);
    }
}

// A turn of one loop: each of `scopes` becomes `record`, unless `isClaim` finds it there.
typedef struct {
    int loop;
    sqlite3 *database;
    sqlite3_stmt *begin, *commit, *insert, *update;
    int file;
} Writer;

static void check(int result, sqlite3 *database, const char *what) {
    if (result == SQLITE_OK || result == SQLITE_DONE || result == SQLITE_ROW) return;
    fprintf(stderr, "%s: %s\n", what, sqlite3_errmsg(database));
    exit(1);
}

static void open_sqlite(Writer *writer) {
    char path[4096];
    snprintf(path, sizeof path, "%s/records.sqlite", folder);
    check(sqlite3_open(path, &writer->database), writer->database, "open");
    sqlite3_busy_timeout(writer->database, 10000);
    check(sqlite3_exec(writer->database,
              "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF; PRAGMA wal_autocheckpoint=1000;"
              "CREATE TABLE IF NOT EXISTS records (scope BLOB PRIMARY KEY, record BLOB) WITHOUT ROWID", 0, 0, 0),
        writer->database, "prepare");
    const char *statements[] = { "BEGIN IMMEDIATE", "COMMIT",
        "INSERT INTO records VALUES (?, ?) ON CONFLICT DO NOTHING", "UPDATE records SET record = ?2 WHERE scope = ?1" };
    sqlite3_stmt **places[] = { &writer->begin, &writer->commit, &writer->insert, &writer->update };
    for (int i = 0; i < 4; i++)
        check(sqlite3_prepare_v3(writer->database, statements[i], -1, SQLITE_PREPARE_PERSISTENT, places[i], 0),
            writer->database, statements[i]);
}

static void step(Writer *writer, sqlite3_stmt *statement) {
    check(sqlite3_step(statement), writer->database, "step");
    sqlite3_reset(statement);
}

static void turn_sqlite(Writer *writer, uint8_t scopes[][SCOPE], const uint8_t *record, int is_claim) {
    sqlite3_stmt *statement = is_claim ? writer->insert : writer->update;
    step(writer, writer->begin);
    for (int i = 0; i < BATCH; i++) {
        sqlite3_bind_blob(statement, 1, scopes[i], SCOPE, SQLITE_STATIC);
        sqlite3_bind_blob(statement, 2, record, RECORD, SQLITE_STATIC);
        step(writer, statement);
    }
    step(writer, writer->commit);
}

static void turn_lmdb(uint8_t scopes[][SCOPE], const uint8_t *record, int is_claim) {
    MDB_txn *transaction;
    if (mdb_txn_begin(environment, 0, 0, &transaction)) fail("begin");
    for (int i = 0; i < BATCH; i++) {
        MDB_val key = { SCOPE, scopes[i] }, value = { RECORD, (void *)record };
        int result = mdb_put(transaction, records, &key, &value, is_claim ? MDB_NOOVERWRITE : 0);
        if (result && result != MDB_KEYEXIST) fail("put");
    }
    if (mdb_txn_commit(transaction)) fail("commit");
}

static void turn_log(Writer *writer, uint8_t scopes[][SCOPE], const uint8_t *record) {
    uint8_t entry[ENTRY];
    for (int i = 0; i < BATCH; i++) {
        memcpy(entry, scopes[i], SCOPE);
        memcpy(entry + SCOPE, record, RECORD);
        uint64_t sum = 14695981039346656037u;
        for (int j = 0; j < ENTRY / 8; j++) {
            uint64_t word;
            memcpy(&word, entry + 8 * j, 8);
            sum = (sum ^ word) * 1099511628211u;
        }
        memcpy(entry + ENTRY - 8, &sum, 8);
        if (write(writer->file, entry, ENTRY) != ENTRY) fail("write");
    }
}

static char engine;

static void *run(void *argument) {
    Writer *writer = argument;
    uint64_t state = writer->loop + 1;
    uint8_t scopes[BATCH][SCOPE], record[RECORD] = { 1 }, settled[RECORD] = { 2 };
    for (int message = 0; message < MESSAGES / LOOPS; message += BATCH) {
        for (int i = 0; i < BATCH; i++) make(scopes[i], &state);
        for (int phase = 0; phase < 2; phase++) {
            const uint8_t *value = phase ? settled : record;
            if (engine == 'S') turn_sqlite(writer, scopes, value, !phase);
            if (engine == 'L' && environment) turn_lmdb(scopes, value, !phase);
            if (engine == 'O') turn_log(writer, scopes, value);
        }
    }
    return 0;
}

static long long bytes_on_disk(void) {
    char command[4200];
    snprintf(command, sizeof command, "du -sB1 '%s'", folder);
    FILE *pipe = popen(command, "r");
    long long bytes = 0;
    if (!pipe || fscanf(pipe, "%lld", &bytes) != 1) fail("du");
    pclose(pipe);
    return bytes;
}

int main(int count, char **arguments) {
    if (count != 3) return fprintf(stderr, "engines SQLITE|LMDB|LOG|NONE FOLDER\n"), 64;
    folder = arguments[2];
    engine = strcmp(arguments[1], "LOG") ? arguments[1][0] : 'O';
    if (engine == 'L') {
        if (mdb_env_create(&environment) || mdb_env_set_mapsize(environment, 4ull << 30)
            || mdb_env_open(environment, folder, MDB_NOSYNC | MDB_NOMETASYNC | MDB_WRITEMAP | MDB_MAPASYNC, 0644))
            fail("open");
        MDB_txn *transaction;
        if (mdb_txn_begin(environment, 0, 0, &transaction) || mdb_dbi_open(transaction, 0, MDB_CREATE, &records)
            || mdb_txn_commit(transaction))
            fail("database");
    }
    Writer writers[LOOPS];
    pthread_t threads[LOOPS];
    memset(writers, 0, sizeof writers);
    for (int i = 0; i < LOOPS; i++) {
        char path[4096];
        writers[i].loop = i;
        snprintf(path, sizeof path, "%s/%d.log", folder, i);
        if (engine == 'S') open_sqlite(&writers[i]);
        if (engine == 'O' && (writers[i].file = open(path, O_CREAT | O_APPEND | O_WRONLY, 0644)) < 0) fail(path);
    }
    double cpu_before = cpu(), before = now();
    for (int i = 0; i < LOOPS; i++) pthread_create(&threads[i], 0, run, &writers[i]);
    for (int i = 0; i < LOOPS; i++) pthread_join(threads[i], 0);
    double cpu_used = cpu() - cpu_before, time = now() - before;
    printf("%s: %.2f us CPU a message, %.2f us elapsed, %.0f bytes on disk\n", arguments[1], cpu_used / MESSAGES * 1e6,
        time / MESSAGES * 1e6, (double)bytes_on_disk() / MESSAGES);
    for (int i = 0; i < LOOPS; i++)
        if (engine == 'S') {
            sqlite3_finalize(writers[i].begin);
            sqlite3_finalize(writers[i].commit);
            sqlite3_finalize(writers[i].insert);
            sqlite3_finalize(writers[i].update);
            sqlite3_close(writers[i].database);
        }
    if (environment) mdb_env_close(environment);
    return 0;
}
