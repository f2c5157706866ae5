// The floor: what any worker pays that reads a body and one KV key and answers JSON.
export default {
  async fetch(request, env) {
    await request.text();
    const record = await env.CLIENTS.get("floor");
    return Response.json({ known: record !== null }, { status: 201 });
  },
};
