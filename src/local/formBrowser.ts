/** A page as far as a form on it goes. */
export interface Page {
  readonly url: URL;
  readonly status: number;
  readonly html: string;
}

/** What of a browser a sign-in needs, without JavaScript: cookies, redirects, forms. */
export class Browser {
  readonly #cookies = new Map<string, string>();
  readonly #stopAt: string;

  /** @param stopAt Where redirects are no longer followed: the address that a program waits at. */
  constructor(stopAt = "none:") {
    this.#stopAt = stopAt;
  }

  async open(address: string | URL, form?: URLSearchParams): Promise<Page> {
    const url = new URL(address);
    if (url.href.startsWith(this.#stopAt)) {
      return { url, status: 0, html: "" };
    }
    const response = await fetch(url, {
      method: form === undefined ? "GET" : "POST",
      redirect: "manual",
      headers: { cookie: [...this.#cookies].map(([name, value]) => `${name}=${value}`).join("; ") },
      ...(form === undefined ? {} : { body: form }),
    });
    for (const cookie of response.headers.getSetCookie()) {
      const [, name = "", value = ""] = /^([^=]+)=([^;]*)/.exec(cookie) ?? [];
      this.#cookies.set(name, value);
    }
    const html = await response.text();
    const location = response.headers.get("location");
    return location === null
      ? { url, status: response.status, html }
      : await this.open(new URL(location, url));
  }

  /** Sends the page's form with its hidden fields, and with these. */
  async submit(page: Page, fields: Readonly<Record<string, string>>): Promise<Page> {
    const [, attributes] = /<form([^>]*)>/.exec(page.html) ?? [];
    if (attributes === undefined) {
      throw new Error(`There is no form on the page:\n${page.html}`);
    }
    const [, action = page.url.href] = /action="([^"]*)"/.exec(attributes) ?? [];
    const hidden = page.html.matchAll(/<input type="hidden" name="([^"]*)" value="([^"]*)"/g);
    const form = new URLSearchParams();
    for (const [, name = "", value = ""] of hidden) {
      form.set(name, value);
    }
    for (const [name, value] of Object.entries(fields)) {
      form.set(name, value);
    }
    return await this.open(new URL(action, page.url), form);
  }
}
